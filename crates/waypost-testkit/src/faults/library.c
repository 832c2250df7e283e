/* Makes chosen system calls of a process fail, by being loaded before the C library (LD_PRELOAD).
 *
 * What fails is written by the test into a small file, named by WAYPOST_TEST_FAULTS and mapped here: see faults.rs for its
 * fields. Nothing fails while `calls` is 0. A call counts where it is one of `calls` and the path of its file holds `path`;
 * of these the one numbered `first`, and the next ones up to `count` in all, fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, SIZE = 4, READ = 8, LOCK = 16, EXCLUSIVE_LOCK = 32 };

struct control {
    _Atomic uint32_t calls;
    /* The errno of calls that fail; 0 makes reads give zeros. */
    _Atomic int32_t error;
    _Atomic uint64_t first;
    _Atomic uint64_t count;
    _Atomic uint64_t seen;
    _Atomic uint64_t failed;
    char path[88];
};

static struct control *control;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("WAYPOST_TEST_FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED) control = map;
}

/* Whether this call on this file is one that fails. */
static int fails(uint32_t call, int file)
{
    if (!control || !(atomic_load(&control->calls) & call)) return 0;
    int before = errno;
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, control->path)) return 0;
    uint64_t number = atomic_fetch_add(&control->seen, 1) + 1;
    uint64_t first = atomic_load(&control->first);
    if (number < first || number - first >= atomic_load(&control->count)) return 0;
    atomic_fetch_add(&control->failed, 1);
    errno = atomic_load(&control->error);
    return 1;
}

#define FAIL(call, file) if (fails(call, file)) return -1

ssize_t write(int file, const void *bytes, size_t length)
{
    REAL(write);
    FAIL(WRITE, file);
    return real(file, bytes, length);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at)
{
    REAL(pwrite);
    FAIL(WRITE, file);
    return real(file, bytes, length, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at)
{
    REAL(pwrite64);
    FAIL(WRITE, file);
    return real(file, bytes, length, at);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    REAL(writev);
    FAIL(WRITE, file);
    return real(file, parts, count);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t at)
{
    REAL(pwritev);
    FAIL(WRITE, file);
    return real(file, parts, count, at);
}

int fsync(int file)
{
    REAL(fsync);
    FAIL(SYNC, file);
    return real(file);
}

int fdatasync(int file)
{
    REAL(fdatasync);
    FAIL(SYNC, file);
    return real(file);
}

int ftruncate(int file, off_t length)
{
    REAL(ftruncate);
    FAIL(SIZE, file);
    return real(file, length);
}

int ftruncate64(int file, off64_t length)
{
    REAL(ftruncate64);
    FAIL(SIZE, file);
    return real(file, length);
}

int fallocate(int file, int mode, off_t at, off_t length)
{
    REAL(fallocate);
    FAIL(SIZE, file);
    return real(file, mode, at, length);
}

int fallocate64(int file, int mode, off64_t at, off64_t length)
{
    REAL(fallocate64);
    FAIL(SIZE, file);
    return real(file, mode, at, length);
}

int posix_fallocate(int file, off_t at, off_t length)
{
    REAL(posix_fallocate);
    if (fails(SIZE, file)) return errno;
    return real(file, at, length);
}

int posix_fallocate64(int file, off64_t at, off64_t length)
{
    REAL(posix_fallocate64);
    if (fails(SIZE, file)) return errno;
    return real(file, at, length);
}

static ssize_t read_zeros(void *bytes, ssize_t length)
{
    if (length > 0) memset(bytes, 0, (size_t)length);
    return length;
}

ssize_t pread(int file, void *bytes, size_t length, off_t at)
{
    REAL(pread);
    if (!fails(READ, file)) return real(file, bytes, length, at);
    return errno ? -1 : read_zeros(bytes, real(file, bytes, length, at));
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t at)
{
    REAL(pread64);
    if (!fails(READ, file)) return real(file, bytes, length, at);
    return errno ? -1 : read_zeros(bytes, real(file, bytes, length, at));
}

/* Taking a lock; giving one up never fails on a local disk, and SQLite keeps what it could not give up. */
static uint32_t lock_call(int order, const struct flock *lock)
{
    if (order != F_SETLK && order != F_SETLKW) return 0;
    if (lock->l_type == F_WRLCK) return LOCK | EXCLUSIVE_LOCK;
    return lock->l_type == F_RDLCK ? LOCK : 0;
}

int fcntl(int file, int order, ...)
{
    REAL(fcntl);
    va_list rest;
    va_start(rest, order);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    FAIL(lock_call(order, argument), file);
    return real(file, order, argument);
}

int fcntl64(int file, int order, ...)
{
    REAL(fcntl64);
    va_list rest;
    va_start(rest, order);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    FAIL(lock_call(order, argument), file);
    return real(file, order, argument);
}
