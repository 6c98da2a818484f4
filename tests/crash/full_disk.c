/* Loaded before the C library: while the file named by FULL_DISK_FLAG exists, nothing more can be written
 * to the ledger's files, as on a full disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int full(int fd) {
    char link[64], path[4096];
    const char *flag = getenv("FULL_DISK_FLAG");
    if (!flag || access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/ledger.db") != NULL;
}

#define FAILS(result, name, parameters, arguments)                    \
    result name parameters {                                          \
        static result (*real) parameters;                             \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);         \
        if (full(fd)) {                                               \
            errno = ENOSPC;                                           \
            return -1;                                                \
        }                                                             \
        return real arguments;                                        \
    }

FAILS(ssize_t, write, (int fd, const void *data, size_t length), (fd, data, length))
FAILS(ssize_t, pwrite, (int fd, const void *data, size_t length, off_t at), (fd, data, length, at))
FAILS(ssize_t, pwrite64, (int fd, const void *data, size_t length, off64_t at), (fd, data, length, at))
FAILS(int, ftruncate, (int fd, off_t length), (fd, length))
FAILS(int, ftruncate64, (int fd, off64_t length), (fd, length))
FAILS(int, fallocate, (int fd, int mode, off_t at, off_t length), (fd, mode, at, length))
