/* What opens and closes files, and what changes names. */
#include "record.h"

#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- opening and closing ---- */

#define OPENING(call)                                                                                                  \
    char inside[PATH_MAX];                                                                                             \
    if (!is_inside(at, path, inside)) return call;                                                                     \
    if ((flags & O_TMPFILE) == O_TMPFILE) fail("files without a name are not recorded", path);                         \
    enter();                                                                                                           \
    int fd = call;                                                                                                     \
    if (fd >= 0) {                                                                                                     \
        track(fd, flags, is_spared(inside));                                                                           \
        record(OPEN, fd, inside, 0, flags, 0, NULL, 0);                                                                \
    }                                                                                                                  \
    int error = errno;                                                                                                 \
    leave();                                                                                                           \
    errno = error;                                                                                                     \
    return fd

#define MODE                                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                                             \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE int at = AT_FDCWD;
    OPENING(real(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE int at = AT_FDCWD;
    OPENING(real(path, flags, mode));
}
int openat(int at, const char *path, int flags, ...) {
    REAL(openat);
    MODE OPENING(real(at, path, flags, mode));
}
int openat64(int at, const char *path, int flags, ...) {
    REAL(openat64);
    MODE OPENING(real(at, path, flags, mode));
}
int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open64(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* The C library opens these without us; a program that only reads may. */
#define STREAM(name)                                                                                                   \
    FILE *name(const char *path, const char *mode) {                                                                   \
        REAL(name);                                                                                                    \
        char inside[PATH_MAX];                                                                                         \
        if (strpbrk(mode, "wa+") && is_inside(AT_FDCWD, path, inside)) fail("streams are not recorded", path);        \
        return real(path, mode);                                                                                       \
    }
STREAM(fopen)
STREAM(fopen64)

int close(int fd) {
    REAL(close);
    /* Before it: another thread may get the number at once. */
    forget(fd);
    return real(fd);
}
int closedir(DIR *stream) {
    REAL(closedir);
    forget(dirfd(stream));
    return real(stream);
}

static int duplicated(int from, int to) {
    struct tracked *file = tracked(from);
    if (file && to >= 0) {
        enter();
        track(to, file->flags, file->is_spared);
        record(DUP, from, NULL, 0, 0, to, NULL, 0);
        leave();
    }
    return to;
}

int dup(int from) {
    REAL(dup);
    return duplicated(from, real(from));
}
int dup2(int from, int to) {
    REAL(dup2);
    if (from != to) forget(to);
    return duplicated(from, real(from, to));
}
int dup3(int from, int to, int flags) {
    REAL(dup3);
    forget(to);
    return duplicated(from, real(from, to, flags));
}

#define CONTROL(name)                                                                                                  \
    int name(int fd, int command, ...) {                                                                               \
        REAL(name);                                                                                                    \
        va_list more;                                                                                                  \
        va_start(more, command);                                                                                       \
        void *argument = va_arg(more, void *);                                                                         \
        va_end(more);                                                                                                  \
        int result = real(fd, command, argument);                                                                      \
        return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? duplicated(fd, result) : result;                    \
    }
CONTROL(fcntl)
CONTROL(fcntl64)

/* ---- names ---- */

static int renamed(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char inside[PATH_MAX], target[PATH_MAX];
    int is_from = is_inside(from_at, from, inside), is_to = is_inside(to_at, to, target);
    if (!is_from && !is_to) return syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (!is_from || !is_to) fail("a file was moved into the folder or out of it", from);
    if (flags & ~RENAME_NOREPLACE) fail("this mode of renameat2 is not recorded", from);
    DONE(syscall(SYS_renameat2, from_at, from, to_at, to, flags), RENAME, -1, inside, 0, 0, 0, target, strlen(target));
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_at, const char *from, int to_at, const char *to) { return renamed(from_at, from, to_at, to, 0); }
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    return renamed(from_at, from, to_at, to, flags);
}

int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    char inside[PATH_MAX];
    if (!is_inside(at, path, inside)) return real(at, path, flags);
    enum op op = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
    DONE(real(at, path, flags), op, -1, inside, 0, 0, 0, NULL, 0);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int result = unlink(path);
    return result && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}

int mkdirat(int at, const char *path, mode_t mode) {
    REAL(mkdirat);
    char inside[PATH_MAX];
    if (!is_inside(at, path, inside)) return real(at, path, mode);
    DONE(real(at, path, mode), MKDIR, -1, inside, 0, 0, 0, NULL, 0);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    REAL(linkat);
    char inside[PATH_MAX];
    if (is_inside(to_at, to, inside)) fail("links are not recorded", to);
    return real(from_at, from, to_at, to, flags);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int symlinkat(const char *from, int at, const char *to) {
    REAL(symlinkat);
    char inside[PATH_MAX];
    if (is_inside(at, to, inside)) fail("links are not recorded", to);
    return real(from, at, to);
}
int symlink(const char *from, const char *to) { return symlinkat(from, AT_FDCWD, to); }

/* A socket with a name leaves it behind. */
int bind(int fd, const struct sockaddr *address, socklen_t bytes) {
    REAL(bind);
    char path[sizeof(struct sockaddr_un) + 1] = "", inside[PATH_MAX];
    size_t before = offsetof(struct sockaddr_un, sun_path);
    if (is_recording() && address->sa_family == AF_UNIX && bytes > before && bytes <= sizeof(struct sockaddr_un))
        memcpy(path, (const char *)address + before, bytes - before);
    if (!path[0] || !is_inside(AT_FDCWD, path, inside)) return real(fd, address, bytes);
    DONE(real(fd, address, bytes), BIND, -1, inside, 0, 0, 0, NULL, 0);
}
