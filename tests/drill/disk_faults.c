/* A disk that fails, for programs that are started with LD_PRELOAD: calls that write below one folder are counted over
   all processes, and from a chosen one on they fail. What the environment asks for:

   DISK_UNDER   the folder; calls elsewhere are not touched
   DISK_COUNT   a file of 16 bytes that all processes share: calls so far, calls that failed
   DISK_FROM    the number of the first call that fails (1: the first one); 0 or unset: only count
   DISK_ERRNO   with what it fails
   DISK_BACK    a file: while it exists, nothing fails
   DISK_ONCE    when set, only this one call fails
   DISK_SPARES  the end of a path: this file can be written over all the same, as on a disk that is merely full
   DISK_TRACE   a file that gets one line per counted call
   DISK_LACKS   words out of "flock mkfifo link locks": what this file system cannot do; it answers with DISK_ERRNO
   DISK_FREE    "BYTES INODES": what statvfs says is free, unless DISK_BACK exists
   DISK_MOUNTS  a file that is shown in the place of /proc/self/mountinfo

   It does not touch reads, FIFOs, pipes or sockets. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long *counts;
static const char *under, *back, *lacks, *mounts, *trace, *spares;
static size_t under_length;
static long from;
static int number, once;

static int raw_open(const char *path, int flags) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0644); }

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("DISK_COUNT");
    trace = getenv("DISK_TRACE");
    spares = getenv("DISK_SPARES");
    under = getenv("DISK_UNDER");
    under_length = under ? strlen(under) : 0;
    back = getenv("DISK_BACK");
    lacks = getenv("DISK_LACKS");
    mounts = getenv("DISK_MOUNTS");
    from = getenv("DISK_FROM") ? atol(getenv("DISK_FROM")) : 0;
    number = getenv("DISK_ERRNO") ? atoi(getenv("DISK_ERRNO")) : ENOSPC;
    once = getenv("DISK_ONCE") != NULL;
    int fd = file ? raw_open(file, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *memory = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        counts = memory == MAP_FAILED ? NULL : memory;
        syscall(SYS_close, fd);
    }
}

static int inside(const char *path) {
    return under && strncmp(path, under, under_length) == 0 && (path[under_length] == '/' || path[under_length] == 0);
}

/* The whole path of a name that may be relative, to a folder's descriptor or to the current folder. */
static const char *whole(int folder, const char *name, char *into) {
    char link[64];
    if (!name || name[0] == '/') return name;
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t size = readlink(link, into, PATH_MAX - 1);
    if (size < 0) return name;
    snprintf(into + size, PATH_MAX - (size_t)size, "/%s", name);
    return into;
}

static int space_is_back(void) { return back && syscall(SYS_access, back, F_OK) == 0; }

static int spared(const char *path) {
    size_t size = spares ? strlen(spares) : 0, whole = strlen(path);
    return size && whole >= size && strcmp(path + whole - size, spares) == 0;
}

/* Counts one call that writes; true when it is to fail, with errno set. */
static int fails(const char *what, const char *path) {
    int kept = errno;
    if (!path || !inside(path) || !counts || spared(path)) return 0;
    long n = __atomic_add_fetch(&counts[0], 1, __ATOMIC_SEQ_CST);
    int failed = from && (once ? n == from : n >= from) && !space_is_back();
    if (failed) __atomic_add_fetch(&counts[1], 1, __ATOMIC_SEQ_CST);
    if (trace) { /* opened anew each time: a supervisor closes what it inherited */
        char line[PATH_MAX + 128];
        int size = snprintf(line, sizeof line, "%ld %d %d %s %s\n", n, failed, getpid(), what, path + under_length);
        int fd = raw_open(trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC);
        if (fd >= 0 && size > 0) syscall(SYS_write, fd, line, (size_t)size);
        if (fd >= 0) syscall(SYS_close, fd);
    }
    errno = failed ? number : kept;
    return failed;
}

static int name_fails(const char *what, int folder, const char *name) {
    char path[PATH_MAX + 64];
    return name && fails(what, whole(folder, name, path));
}

/* Only regular files and folders: a FIFO needs no disk. */
static int fd_fails(const char *what, int fd) {
    char link[64], path[PATH_MAX];
    struct stat found;
    int kept = errno;
    if (!under || syscall(SYS_fstat, fd, &found) != 0 || !(S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) {
        errno = kept;
        return 0;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (size < 0) return 0;
    path[size] = 0;
    return fails(what, path);
}

static const char *shown(const char *path) {
    return mounts && path && strcmp(path, "/proc/self/mountinfo") == 0 ? mounts : path;
}

static int open_fails(int folder, const char *name, int flags) {
    struct stat found;
    char path[PATH_MAX + 64];
    int kept = errno;
    if (!(flags & O_CREAT) && (flags & O_ACCMODE) == O_RDONLY) return 0;
    const char *place = whole(folder, name, path);
    int special = syscall(SYS_newfstatat, AT_FDCWD, place, &found, 0) == 0 && !S_ISREG(found.st_mode);
    errno = kept;
    return !special && fails("open", place);
}

/* The function behind ours; `next` keeps it. */
#define NEXT(name) ((__typeof__(next))found((void **)&next, #name))

static void *found(void **kept, const char *name) {
    if (!*kept) *kept = dlsym(RTLD_NEXT, name);
    return *kept;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                      \
        static int (*next)(const char *, int, ...);                                                                    \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, int) : 0;                                            \
        va_end(rest);                                                                                                  \
        path = shown(path);                                                                                            \
        if (open_fails(AT_FDCWD, path, flags)) return -1;                                                              \
        return NEXT(name)(path, flags, mode);                                                                          \
    }
#define OPENAT(name)                                                                                                   \
    int name(int folder, const char *path, int flags, ...) {                                                          \
        static int (*next)(int, const char *, int, ...);                                                               \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, int) : 0;                                            \
        va_end(rest);                                                                                                  \
        path = shown(path);                                                                                            \
        if (open_fails(folder, path, flags)) return -1;                                                                \
        return NEXT(name)(folder, path, flags, mode);                                                                  \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode) { return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

#define BY_FD(result, name, what, parameters, arguments)                                                               \
    result name parameters {                                                                                           \
        static result(*next) parameters;                                                                               \
        return fd_fails(what, fd) ? -1 : NEXT(name) arguments;                                                         \
    }
BY_FD(ssize_t, write, "write", (int fd, const void *data, size_t size), (fd, data, size))
BY_FD(ssize_t, pwrite, "write", (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
BY_FD(ssize_t, pwrite64, "write", (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
BY_FD(ssize_t, writev, "write", (int fd, const struct iovec *parts, int n), (fd, parts, n))
BY_FD(int, fsync, "fsync", (int fd), (fd))
BY_FD(int, fdatasync, "fsync", (int fd), (fd))
BY_FD(int, ftruncate, "truncate", (int fd, off_t size), (fd, size))
BY_FD(int, ftruncate64, "truncate", (int fd, off64_t size), (fd, size))
BY_FD(int, fallocate, "fallocate", (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
BY_FD(int, fallocate64, "fallocate", (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size))
BY_FD(int, fchmod, "chmod", (int fd, mode_t mode), (fd, mode))

#define BY_NAME(name, folder, path, parameters, arguments)                                                             \
    int name parameters {                                                                                              \
        static int(*next) parameters;                                                                                  \
        return name_fails(#name, folder, path) ? -1 : NEXT(name) arguments;                                            \
    }
BY_NAME(rename, AT_FDCWD, to, (const char *path, const char *to), (path, to))
BY_NAME(renameat, there, to, (int here, const char *path, int there, const char *to), (here, path, there, to))
BY_NAME(mkdir, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
BY_NAME(mkdirat, folder, path, (int folder, const char *path, mode_t mode), (folder, path, mode))
BY_NAME(symlink, AT_FDCWD, path, (const char *target, const char *path), (target, path))
BY_NAME(truncate, AT_FDCWD, path, (const char *path, off_t size), (path, size))
BY_NAME(chmod, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))

/* A full disk lets files be removed; one that is read-only or broken does not. */
#define REMOVE(name, folder, parameters, arguments)                                                                    \
    int name parameters {                                                                                              \
        static int(*next) parameters;                                                                                  \
        if (number != ENOSPC && number != EDQUOT && name_fails(#name, folder, path)) return -1;                        \
        return NEXT(name) arguments;                                                                                   \
    }
REMOVE(unlink, AT_FDCWD, (const char *path), (path))
REMOVE(unlinkat, folder, (int folder, const char *path, int flags), (folder, path, flags))
REMOVE(rmdir, AT_FDCWD, (const char *path), (path))

static int lacking(const char *word) {
    if (!lacks || !strstr(lacks, word)) return 0;
    errno = number;
    return 1;
}

int flock(int fd, int how) {
    static int (*next)(int, int);
    return lacking("flock") ? -1 : NEXT(flock)(fd, how);
}

#define MAKE(name, word, folder, path, parameters, arguments)                                                          \
    int name parameters {                                                                                              \
        static int(*next) parameters;                                                                                  \
        char there[PATH_MAX + 64];                                                                                     \
        if (inside(whole(folder, path, there)) && lacking(word)) return -1;                                            \
        return name_fails(#name, folder, path) ? -1 : NEXT(name) arguments;                                            \
    }
MAKE(mkfifo, "mkfifo", AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
MAKE(mkfifoat, "mkfifo", folder, path, (int folder, const char *path, mode_t mode), (folder, path, mode))
MAKE(link, "link", AT_FDCWD, to, (const char *path, const char *to), (path, to))
MAKE(linkat, "link", there_fd, to, (int here, const char *path, int there_fd, const char *to, int flags),
     (here, path, there_fd, to, flags))

#define LOCK(name)                                                                                                     \
    int name(int fd, int command, ...) {                                                                              \
        static int (*next)(int, int, ...);                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, command);                                                                                       \
        void *argument = va_arg(rest, void *);                                                                         \
        va_end(rest);                                                                                                  \
        if ((command == F_SETLK || command == F_SETLKW) && lacking("locks")) return -1;                                \
        return NEXT(name)(fd, command, argument);                                                                      \
    }
LOCK(fcntl)
LOCK(fcntl64)

#define STATVFS(name, type)                                                                                            \
    int name(const char *path, struct type *into) {                                                                    \
        static int (*next)(const char *, struct type *);                                                               \
        int result = NEXT(name)(path, into);                                                                           \
        unsigned long long bytes, inodes;                                                                              \
        const char *free = getenv("DISK_FREE");                                                                        \
        if (!result && free && inside(path) && !space_is_back() && sscanf(free, "%llu %llu", &bytes, &inodes) == 2) {  \
            into->f_bavail = into->f_bfree = bytes / into->f_frsize;                                                   \
            into->f_favail = into->f_ffree = inodes;                                                                   \
            into->f_files = inodes + 1000;                                                                             \
        }                                                                                                              \
        return result;                                                                                                 \
    }
STATVFS(statvfs, statvfs)
STATVFS(statvfs64, statvfs64)
