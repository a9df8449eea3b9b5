/* What changes a file's bytes, its length, and what makes them durable. */
#include "record.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static int is_zero(const char *bytes, size_t count) {
    return count > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* Records a write and makes it. `offset` -1: where the descriptor stands. */
static ssize_t written(int fd, struct tracked *file, const void *data, size_t bytes, off64_t offset) {
    if (is_faulty(&write_fault, file)) return -1;
    enter();
    struct stat now = checked(fd, file);
    /* A positional write appends too if the file was opened so (pwrite(2), BUGS). */
    off64_t at = file->flags & O_APPEND ? now.st_size : offset >= 0 ? offset : lseek64(fd, 0, SEEK_CUR);
    size_t kept = is_zero(data, bytes) ? 0 : bytes;
    uint64_t number = record(WRITE, fd, NULL, at, bytes, 0, data, kept);
    ssize_t done = offset >= 0 ? syscall(SYS_pwrite64, fd, data, bytes, offset) : syscall(SYS_write, fd, data, bytes);
    int error = errno;
    if (done != (ssize_t)bytes) record(RESULT, fd, NULL, number, 0, done, NULL, 0);
    leave();
    errno = error;
    return done;
}

static ssize_t written_parts(int fd, struct tracked *file, const struct iovec *parts, int count, off64_t offset) {
    size_t bytes = 0;
    for (int part = 0; part < count; part++) bytes += parts[part].iov_len;
    char *whole = malloc(bytes + 1), *end = whole;
    if (!whole) fail("no memory", NULL);
    for (int part = 0; part < count; part++) end = mempcpy(end, parts[part].iov_base, parts[part].iov_len);
    ssize_t done = written(fd, file, whole, bytes, offset);
    int error = errno;
    free(whole);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    REAL(write);
    struct tracked *file = tracked(fd);
    return file ? written(fd, file, data, bytes, -1) : real(fd, data, bytes);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    struct tracked *file = tracked(fd);
    return file ? written_parts(fd, file, parts, count, -1) : real(fd, parts, count);
}

#define AT_OFFSET(name, type)                                                                                          \
    ssize_t name(int fd, const void *data, size_t bytes, type offset) {                                                \
        REAL(name);                                                                                                    \
        struct tracked *file = tracked(fd);                                                                            \
        return file && offset >= 0 ? written(fd, file, data, bytes, offset) : real(fd, data, bytes, offset);          \
    }
AT_OFFSET(pwrite, off_t)
AT_OFFSET(pwrite64, off64_t)

#define PARTS_AT_OFFSET(name, type)                                                                                    \
    ssize_t name(int fd, const struct iovec *parts, int count, type offset) {                                          \
        REAL(name);                                                                                                    \
        struct tracked *file = tracked(fd);                                                                            \
        return file && offset >= 0 ? written_parts(fd, file, parts, count, offset) : real(fd, parts, count, offset);  \
    }
PARTS_AT_OFFSET(pwritev, off_t)
PARTS_AT_OFFSET(pwritev64, off64_t)

/* Whoever finds that the kernel does not copy for him copies himself, with reads and writes. */
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t bytes, unsigned flags) {
    REAL(copy_file_range);
    if (!tracked(to)) return real(from, from_at, to, to_at, bytes, flags);
    errno = ENOSYS;
    return -1;
}
#define COPYING(name, type)                                                                                            \
    ssize_t name(int to, int from, type *offset, size_t bytes) {                                                       \
        REAL(name);                                                                                                    \
        if (!tracked(to)) return real(to, from, offset, bytes);                                                        \
        errno = ENOSYS;                                                                                                \
        return -1;                                                                                                     \
    }
COPYING(sendfile, off_t)
COPYING(sendfile64, off64_t)
ssize_t splice(int from, off64_t *from_at, int to, off64_t *to_at, size_t bytes, unsigned flags) {
    REAL(splice);
    if (!tracked(to)) return real(from, from_at, to, to_at, bytes, flags);
    errno = EINVAL;
    return -1;
}

#define MAPPING(name, type)                                                                                            \
    void *name(void *where, size_t bytes, int protection, int flags, int fd, type offset) {                            \
        REAL(name);                                                                                                    \
        if (tracked(fd) && (flags & MAP_TYPE) != MAP_PRIVATE && (protection & PROT_WRITE))                             \
            fail("writable mappings are not recorded", NULL);                                                          \
        return real(where, bytes, protection, flags, fd, offset);                                                      \
    }
MAPPING(mmap, off_t)
MAPPING(mmap64, off64_t)

/* ---- lengths and syncs ---- */

#define LENGTH(name, type)                                                                                             \
    int name(int fd, type bytes) {                                                                                     \
        REAL(name);                                                                                                    \
        struct tracked *file = tracked(fd);                                                                            \
        if (!file) return real(fd, bytes);                                                                             \
        checked(fd, file);                                                                                             \
        if (is_faulty(&write_fault, tracked(fd))) return -1;                                                           \
        DONE(real(fd, bytes), TRUNCATE, fd, NULL, 0, bytes, 0, NULL, 0);                                               \
    }
LENGTH(ftruncate, off_t)
LENGTH(ftruncate64, off64_t)

#define LENGTH_OF(name, type)                                                                                          \
    int name(const char *path, type bytes) {                                                                           \
        REAL(name);                                                                                                    \
        char inside[PATH_MAX];                                                                                         \
        if (!is_inside(AT_FDCWD, path, inside)) return real(path, bytes);                                              \
        DONE(real(path, bytes), TRUNCATE, -1, inside, 0, bytes, 0, NULL, 0);                                           \
    }
LENGTH_OF(truncate, off_t)
LENGTH_OF(truncate64, off64_t)

#define ALLOCATION(name, type)                                                                                         \
    int name(int fd, int mode, type offset, type bytes) {                                                              \
        REAL(name);                                                                                                    \
        if (!tracked(fd) || mode == FALLOC_FL_KEEP_SIZE) return real(fd, mode, offset, bytes);                         \
        if (mode) fail("this mode of fallocate is not recorded", NULL);                                                \
        if (is_faulty(&write_fault, tracked(fd))) return -1;                                                           \
        DONE(real(fd, mode, offset, bytes), ALLOCATE, fd, NULL, offset, bytes, 0, NULL, 0);                            \
    }
ALLOCATION(fallocate, off_t)
ALLOCATION(fallocate64, off64_t)

#define POSIX_ALLOCATION(name, type)                                                                                   \
    int name(int fd, type offset, type bytes) {                                                                        \
        REAL(name);                                                                                                    \
        if (!tracked(fd)) return real(fd, offset, bytes);                                                              \
        if (is_faulty(&write_fault, tracked(fd))) return errno;                                                        \
        DONE(real(fd, offset, bytes), ALLOCATE, fd, NULL, offset, bytes, 0, NULL, 0);                                  \
    }
POSIX_ALLOCATION(posix_fallocate, off_t)
POSIX_ALLOCATION(posix_fallocate64, off64_t)

static uint64_t sync_begins(int fd) {
    enter();
    uint64_t number = record(SYNC_START, fd, NULL, 0, 0, 0, NULL, 0);
    leave();
    return number;
}
static int sync_ends(int fd, uint64_t number, int result) {
    int error = errno;
    enter();
    record(SYNC_DONE, fd, NULL, number, 0, result, NULL, 0);
    leave();
    errno = error;
    return result;
}

/* Without the lock in between: a sync takes long, and others write meanwhile. */
#define SYNC(name)                                                                                                     \
    int name(int fd) {                                                                                                 \
        REAL(name);                                                                                                    \
        struct tracked *file = tracked(fd);                                                                            \
        if (!file) return real(fd);                                                                                    \
        checked(fd, file);                                                                                             \
        uint64_t number = sync_begins(fd);                                                                             \
        return sync_ends(fd, number, is_faulty(&sync_fault, file) ? -1 : real(fd));                                    \
    }
SYNC(fsync)
SYNC(fdatasync)

int syncfs(int fd) {
    REAL(syncfs);
    if (!is_recording()) return real(fd);
    uint64_t number = sync_begins(-1);
    return sync_ends(-1, number, real(fd));
}
void sync(void) {
    REAL(sync);
    if (!is_recording()) {
        real();
        return;
    }
    uint64_t number = sync_begins(-1);
    real();
    sync_ends(-1, number, 0);
}
/* sync_file_range is not recorded: it writes back, but neither lengths nor the device's cache (sync_file_range(2)). */

