/* A disk whose syncs take longer: each fsync and fdatasync of the program waits TIDEGATE_SLOW_SYNC_US on top. For the
 * benchmark: a card or an eMMC takes milliseconds, the disks of most test machines a tenth of one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_as_long(void) {
    const char *text = getenv("TIDEGATE_SLOW_SYNC_US");
    if (text) usleep((useconds_t)atol(text));
}

static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    wait_as_long();
    return real(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }

int fdatasync(int fd) { return slowly("fdatasync", fd); }
