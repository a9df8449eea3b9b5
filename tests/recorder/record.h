/* Records every change that a program makes below one folder, so that a test can rebuild the disk as a power cut
 * would have left it at any point. Preloaded with LD_PRELOAD; the reader is tests/src/power_cut/log.rs.
 *
 *   TIDEGATE_RECORD_FOLDER   the folder, absolute and without symbolic links
 *   TIDEGATE_RECORD_LOG      the file that gets the records; several processes may share it
 *   TIDEGATE_RECORD_FAULT    optional: `write:17:28` fails the 17th write with errno 28, `write:17-20:28` that and
 *                            three more, `sync:5+:5` every sync from the 5th on with errno 5, in each process for
 *                            itself; `write:1+:5,sync:1+:5` both; with `@state/` at the end only those of files whose
 *                            path in the folder begins so, and only those are counted
 *   TIDEGATE_RECORD_ILL      optional: calls fail only while there is a file of this name
 *
 * A write is recorded before it is made, everything else after it has succeeded, and both under one lock: what
 * stands before a record in the log was done before it. A sync has two records, so that it is known which writes
 * it covers; the second one is there before the caller learns of it. What cannot be recorded faithfully (writable
 * shared mappings, links, exotic modes) stops the program with a message.
 *
 * A program that makes its system calls itself, without the C library, is not seen: the test compares what the log
 * gives with the folder. */
#pragma once
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum op {
    START = 0,      /* a process begins */
    OPEN = 1,       /* fd, path; length: the flags */
    CLOSE = 2,      /* fd */
    WRITE = 3,      /* fd, offset, length, data; without data it is zeros */
    RESULT = 4,     /* offset: the seq of a write that was not done whole; result: what it returned */
    TRUNCATE = 5,   /* fd, or path when fd is -1; length */
    ALLOCATE = 6,   /* fd, offset, length */
    SYNC_START = 7, /* fd; -1 is everything */
    SYNC_DONE = 8,  /* offset: the seq of the start; result */
    RENAME = 9,     /* path to data */
    UNLINK = 10,    /* path */
    MKDIR = 11,     /* path */
    RMDIR = 12,     /* path */
    DUP = 13,       /* fd; result: the other one */
    BIND = 14,      /* path of a socket */
};

/* Little-endian, as it lies in memory. The path follows, then the data, then four bytes that only this record has
 * in this place (not the xor of magic, pid and seq): a program may be killed while it writes one. */
struct head {
    uint32_t magic;
    uint32_t bytes; /* of the whole record */
    uint8_t op;
    uint8_t unused;
    uint16_t path_bytes;
    int32_t fd;
    uint32_t pid;
    uint32_t tid;
    uint64_t seq; /* counts the records of a process, from 1 */
    int64_t offset;
    int64_t length;
    int64_t result;
};

#define MAGIC 0x31524754u /* TGR1 */

/* A descriptor of something below the folder. */
struct tracked {
    atomic_int used;
    int flags;
    int is_spared; /* no call fails */
    dev_t device;
    ino_t inode;
};

/* Calls that are to fail. */
struct fault {
    atomic_long count;
    long from, to; /* 0: none */
    int error;
};

/* The C library's own function of that name. */
#define REAL(name)                                                                                                     \
    static __typeof__(&name) real;                                                                                     \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Makes a call and, when it gives 0, a record. */
#define DONE(call, ...)                                                                                                \
    enter();                                                                                                           \
    int result = call;                                                                                                 \
    int error = errno;                                                                                                 \
    if (result == 0) record(__VA_ARGS__);                                                                              \
    leave();                                                                                                           \
    errno = error;                                                                                                     \
    return result

/* Nobody outside sees these. */
#pragma GCC visibility push(hidden)

extern struct fault write_fault, sync_fault;

/* Whether anything is recorded. */
int is_recording(void);
/* Stops the program. */
_Noreturn void fail(const char *what, const char *detail);
/* What stands between these is one thing in the log. */
void enter(void);
void leave(void);
/* Writes a record, inside the lock; gives its seq. */
uint64_t record(enum op op, int fd, const char *path, int64_t offset, int64_t length, int64_t result, const void *data,
                size_t data_bytes);
/* Whether this call on a file is to fail; errno is set then. */
int is_faulty(struct fault *fault, struct tracked *file);
/* Whether no call is to fail on what is at this place in the folder. */
int is_spared(const char *inside);
/* Whether `path`, seen from `at`, is the folder or below it; then `inside` is the way from the folder. */
int is_inside(int at, const char *path, char inside[PATH_MAX]);
/* Takes a new descriptor in, inside the lock. */
void track(int fd, int flags, int is_spared);
/* What is known of a descriptor; NULL when it is of no interest. */
struct tracked *tracked(int fd);
/* A descriptor is about to be closed. */
void forget(int fd);
/* Stops when a descriptor is another file than the one that was opened: somebody closed it behind our back. */
struct stat checked(int fd, struct tracked *file);

#pragma GCC visibility pop
