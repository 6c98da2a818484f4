/* Loaded before the C library: writes down, in order, what is done to the ledger's files, into the file named
 * by POWER_CUT_LOG. A record is a line `kind offset length path`, and the bytes that were written.
 *
 * W written · T truncated (to the offset) · S synced · D deleted · R renamed (the bytes: the new path)
 *
 * One operation at a time: the order of the records is the order of the operations, and whatever happens
 * because of one comes after its record. SQLite's -shm file is left out: it is made anew after a crash. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static int is_ledger(const char *path) {
    return strstr(path, "/ledger.db") && !strstr(path, "-shm");
}

/* Whether `fd` is one of the files; its path. */
static int ledger(int fd, char *path, size_t size) {
    char link[64];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return is_ledger(path);
}

static void record(char kind, long long offset, size_t length, const char *path, const void *bytes) {
    static int log = -1;
    int before = errno;
    if (log < 0) log = open(getenv("POWER_CUT_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC);
    char head[4200];
    int head_length = snprintf(head, sizeof head, "%c %lld %zu %s\n", kind, offset, length, path);
    struct iovec parts[2] = {{head, (size_t)head_length}, {(void *)bytes, length}};
    if (log < 0 || writev(log, parts, 2) != (ssize_t)((size_t)head_length + length)) {
        static const char words[] = "the power-cut log cannot be written\n";
        (void)!writev(2, &(struct iovec){(void *)words, sizeof words - 1}, 1);
        abort();
    }
    errno = before;
}

#define REAL(result, name, parameters)              \
    static result (*real) parameters;               \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);

#define PWRITE(name, offset_type)                                                    \
    ssize_t name(int fd, const void *data, size_t length, offset_type at) {          \
        REAL(ssize_t, name, (int, const void *, size_t, offset_type))                \
        char path[4096];                                                             \
        if (!ledger(fd, path, sizeof path)) return real(fd, data, length, at);       \
        pthread_mutex_lock(&one_at_a_time);                                          \
        ssize_t written = real(fd, data, length, at);                                \
        if (written > 0) record('W', at, (size_t)written, path, data);               \
        pthread_mutex_unlock(&one_at_a_time);                                        \
        return written;                                                              \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t length) {
    REAL(ssize_t, write, (int, const void *, size_t))
    char path[4096];
    if (!ledger(fd, path, sizeof path)) return real(fd, data, length);
    pthread_mutex_lock(&one_at_a_time);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t written = real(fd, data, length);
    if (written > 0) record('W', at, (size_t)written, path, data);
    pthread_mutex_unlock(&one_at_a_time);
    return written;
}

/* The whole of `call`, recorded when it has succeeded. */
#define FILE_CALL(name, parameters, arguments, kind, offset)                         \
    int name parameters {                                                            \
        REAL(int, name, parameters)                                                  \
        char path[4096];                                                             \
        if (!ledger(fd, path, sizeof path)) return real arguments;                   \
        pthread_mutex_lock(&one_at_a_time);                                          \
        int result = real arguments;                                                 \
        if (result == 0) record(kind, offset, 0, path, "");                          \
        pthread_mutex_unlock(&one_at_a_time);                                        \
        return result;                                                               \
    }

FILE_CALL(ftruncate, (int fd, off_t length), (fd, length), 'T', length)
FILE_CALL(ftruncate64, (int fd, off64_t length), (fd, length), 'T', length)
FILE_CALL(fsync, (int fd), (fd), 'S', 0)
FILE_CALL(fdatasync, (int fd), (fd), 'S', 0)

int unlink(const char *path) {
    REAL(int, unlink, (const char *))
    if (!is_ledger(path)) return real(path);
    pthread_mutex_lock(&one_at_a_time);
    int result = real(path);
    if (result == 0) record('D', 0, 0, path, "");
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, (const char *, const char *))
    if (!is_ledger(from) && !is_ledger(to)) return real(from, to);
    pthread_mutex_lock(&one_at_a_time);
    int result = real(from, to);
    if (result == 0) record('R', 0, strlen(to), from, to);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}
