/* The log, and what is known of descriptors and paths. */
#include "record.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#define FDS_MAX 65536
/* Where the log's descriptor is put, so that the program's own get the numbers that they have without us. */
#define LOG_FD_MIN 500

static struct tracked fds[FDS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_bytes;
static int log_fd = -1;
static uint64_t seq;

struct fault write_fault, sync_fault;
static const char *fault_below = "", *ill;

static ssize_t raw_writev(int fd, const struct iovec *parts, int count) { return syscall(SYS_writev, fd, parts, count); }

_Noreturn void fail(const char *what, const char *detail) {
    char text[PATH_MAX + 200];
    int bytes = snprintf(text, sizeof text, "recorder: %s: %s\n", what, detail ? detail : "");
    struct iovec part = {text, bytes};
    raw_writev(2, &part, 1);
    abort();
}

void enter(void) { pthread_mutex_lock(&lock); }
void leave(void) { pthread_mutex_unlock(&lock); }
/* Only the forking thread lives on in the child, whoever held the lock. */
static void forked(void) { pthread_mutex_init(&lock, NULL); }

static void read_fault(struct fault *fault, const char *name, const char *text) {
    size_t bytes = strlen(name);
    while (text && (strncmp(text, name, bytes) || text[bytes] != ':')) {
        text = strchr(text, ',');
        text += text != NULL;
    }
    if (!text) return;
    char *end;
    fault->from = strtol(text + bytes + 1, &end, 10);
    fault->to = *end == '+' ? LONG_MAX : fault->from;
    end += *end == '+';
    if (*end == '-') fault->to = strtol(end + 1, &end, 10);
    fault->error = *end == ':' ? atoi(end + 1) : EIO;
}

int is_spared(const char *inside) { return strncmp(inside, fault_below, strlen(fault_below)) != 0; }

int is_faulty(struct fault *fault, struct tracked *file) {
    if (!fault->from || file->is_spared || (ill && access(ill, F_OK))) return 0;
    long count = ++fault->count;
    if (count < fault->from || count > fault->to) return 0;
    errno = fault->error;
    return 1;
}

uint64_t record(enum op op, int fd, const char *path, int64_t offset, int64_t length, int64_t result,
                       const void *data, size_t data_bytes) {
    struct head head = {
        .magic = MAGIC,
        .op = op,
        .path_bytes = path ? strlen(path) : 0,
        .fd = fd,
        .pid = getpid(),
        .tid = syscall(SYS_gettid),
        .seq = ++seq,
        .offset = offset,
        .length = length,
        .result = result,
    };
    uint32_t foot = ~(MAGIC ^ head.pid ^ (uint32_t)head.seq);
    head.bytes = sizeof head + head.path_bytes + data_bytes + sizeof foot;
    struct iovec parts[4] = {
        {&head, sizeof head}, {(void *)path, head.path_bytes}, {(void *)data, data_bytes}, {&foot, sizeof foot}};
    /* In one call: appends of several processes do not mix. */
    if (raw_writev(log_fd, parts, 4) != (ssize_t)head.bytes) fail("the log cannot be written", strerror(errno));
    return head.seq;
}

__attribute__((constructor)) static void start(void) {
    const char *from = getenv("TIDEGATE_RECORD_FOLDER"), *to = getenv("TIDEGATE_RECORD_LOG");
    if (!from || !to || log_fd >= 0) return;
    if (!realpath(from, folder)) fail("no such folder", from);
    folder_bytes = strlen(folder);
    int opened = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (opened < 0) fail("the log cannot be opened", to);
    log_fd = syscall(SYS_fcntl, opened, F_DUPFD_CLOEXEC, LOG_FD_MIN);
    if (log_fd < 0) log_fd = opened;
    else syscall(SYS_close, opened);
    pthread_atfork(NULL, NULL, forked);
    const char *fault = getenv("TIDEGATE_RECORD_FAULT");
    read_fault(&write_fault, "write", fault);
    read_fault(&sync_fault, "sync", fault);
    if (fault && strchr(fault, '@')) fault_below = strchr(fault, '@') + 1;
    ill = getenv("TIDEGATE_RECORD_ILL");
    enter();
    record(START, -1, NULL, 0, 0, 0, NULL, 0);
    leave();
}

/* Takes `.`, `..` and doubled slashes out of an absolute path. */
static void normalise(char *path) {
    char *out = path, *in = path;
    while (*in) {
        while (*in == '/') in++;
        char *end = strchrnul(in, '/');
        size_t bytes = end - in;
        if (bytes == 0 || (bytes == 1 && in[0] == '.')) {
        } else if (bytes == 2 && in[0] == '.' && in[1] == '.') {
            while (out > path && *--out != '/') {
            }
        } else {
            *out++ = '/';
            memmove(out, in, bytes);
            out += bytes;
        }
        in = end;
    }
    *out = 0;
}

int is_inside(int at, const char *path, char inside[PATH_MAX]) {
    if (log_fd < 0 || !path) return 0;
    char whole[2 * PATH_MAX];
    if (path[0] == '/') {
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        char base[PATH_MAX];
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t bytes = readlink(link, base, sizeof base - 1);
            if (bytes < 0) return 0;
            base[bytes] = 0;
        }
        snprintf(whole, sizeof whole, "%s/%s", base, path);
    }
    normalise(whole);
    if (strncmp(whole, folder, folder_bytes) || (whole[folder_bytes] && whole[folder_bytes] != '/')) return 0;
    snprintf(inside, PATH_MAX, "%s", whole[folder_bytes] ? whole + folder_bytes + 1 : "");
    return 1;
}

int is_recording(void) { return log_fd >= 0; }

struct tracked *tracked(int fd) {
    if (log_fd < 0 || fd < 0 || fd >= FDS_MAX || !fds[fd].used) return NULL;
    return &fds[fd];
}

struct stat checked(int fd, struct tracked *file) {
    struct stat now;
    if (fstat(fd, &now) || now.st_dev != file->device || now.st_ino != file->inode)
        fail("a descriptor was reused without a close", NULL);
    return now;
}

void track(int fd, int flags, int is_spared) {
    struct stat now;
    if (fd >= FDS_MAX || fstat(fd, &now)) fail("a descriptor cannot be tracked", NULL);
    fds[fd].flags = flags;
    fds[fd].is_spared = is_spared;
    fds[fd].device = now.st_dev;
    fds[fd].inode = now.st_ino;
    fds[fd].used = 1;
}

void forget(int fd) {
    if (!tracked(fd)) return;
    enter();
    fds[fd].used = 0;
    record(CLOSE, fd, NULL, 0, 0, 0, NULL, 0);
    leave();
}
