/* A disk that tells what it would keep if the power went: preloaded into a server under test by powercut.py.

   Each fsync, fdatasync and msync(MS_SYNC) below the watched folder is noted in another folder, the shadow, before the
   real call is made. So whatever such a call has promised is in the shadow when it returns:

       <inode>.bytes   a file as of its last sync: bytes, user attributes, mode and time of modification
       <inode>.names   a folder as of its last sync: "<inode> <f or d> <name>\0" for each entry
       <inode>.link    a second name of each file in either, so that its inode number is not given to another
       failed          what the shadow could not note, and why; a drill must not go on

   Files are noted page by page in place: a process that is killed while it syncs leaves some pages new and some old,
   as a disk does. Folders are noted whole. Whatever else may put bytes onto a disk (sync, O_SYNC, the kernel when it
   likes) is not looked at: that can only make a drill see a loss that was none.

   SQLite's locks are of the process and the file: any close of any descriptor of a database drops them all. So a file
   is read through the descriptor that is synced; another is opened only where that one cannot read. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PIECE (64 << 10)

static const char *watched, *shadow;
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_msync)(void *, size_t, int);

__attribute__((constructor)) static void begin(void)
{
    watched = getenv("DOLIUM_POWERCUT_WATCHED"); /* an absolute path without links */
    shadow = watched == NULL ? NULL : getenv("DOLIUM_POWERCUT_SHADOW");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_msync = dlsym(RTLD_NEXT, "msync");
}

static void path_in(char *path, const char *folder, ino_t inode, const char *what)
{
    snprintf(path, PATH_MAX, "%s/%ju.%s", folder, (uintmax_t)inode, what);
}

static int fail(const char *folder, const char *what)
{
    char path[PATH_MAX];
    int error = errno;
    snprintf(path, sizeof path, "%s/failed", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dprintf(fd, "%s: %s\n", what, strerror(error));
    close(fd);
    return -1;
}

/* Keep the inode. 0 if it has no name any more, and so cannot be found after a power cut. */
static int keep(const char *folder, int fd, ino_t inode)
{
    char from[64], to[PATH_MAX];
    path_in(to, folder, inode, "link");
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST)
        return 1;
    return errno == ENOENT ? 0 : fail(folder, "link");
}

static int note_attributes(const char *folder, int from, int to)
{
    char names[PIECE], value[PIECE];
    ssize_t length = flistxattr(from, names, sizeof names);
    if (length < 0)
        return errno == EOPNOTSUPP ? 0 : fail(folder, "flistxattr");
    for (char *name = names; name < names + length; name += strlen(name) + 1) {
        if (strncmp(name, "user.", 5) != 0)
            continue;
        ssize_t size = fgetxattr(from, name, value, sizeof value);
        if (size < 0 || fsetxattr(to, name, value, size, 0) != 0)
            return fail(folder, name);
    }
    return 0;
}

static int note_bytes(const char *folder, int from, int to, const struct stat *status)
{
    char new[PIECE], old[PIECE];
    off_t at = 0;
    for (ssize_t size; (size = pread(from, new, sizeof new, at)) != 0; at += size) {
        if (size < 0)
            return fail(folder, "read");
        if (pread(to, old, size, at) == size && memcmp(new, old, size) == 0)
            continue;
        if (pwrite(to, new, size, at) != size)
            return fail(folder, "write");
    }
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, status->st_mtim};
    if (ftruncate(to, at) != 0 || fchmod(to, status->st_mode & 07777) != 0 || futimens(to, times) != 0)
        return fail(folder, "end of a file");
    return note_attributes(folder, from, to);
}

static int note_file(const char *folder, int fd, const struct stat *status)
{
    char path[PATH_MAX];
    int kept = keep(folder, fd, status->st_ino);
    if (kept <= 0)
        return kept;
    int from = fd;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
        path_in(path, folder, status->st_ino, "link");
        from = open(path, O_RDONLY | O_CLOEXEC);
    }
    path_in(path, folder, status->st_ino, "bytes");
    int to = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int done = -1;
    /* The lock: whoever was first to sync is first to be noted, so no process puts an older page over a newer one. */
    if (from < 0 || to < 0 || flock(to, LOCK_EX) != 0)
        fail(folder, "open");
    else
        done = note_bytes(folder, from, to, status);
    if (from >= 0 && from != fd)
        close(from);
    if (to >= 0)
        close(to);
    return done;
}

/* What an entry of a folder is, and its inode kept. 0 if it is gone meanwhile. */
static int keep_entry(const char *folder, int parent, const char *name, struct stat *status)
{
    int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC); /* the close of such a one drops no lock */
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(folder, name);
    int kept = fstat(fd, status) == 0 ? 1 : fail(folder, name);
    if (kept > 0 && !S_ISDIR(status->st_mode))
        kept = keep(folder, fd, status->st_ino);
    close(fd);
    return kept;
}

static int note_folder(const char *folder, int fd, const struct stat *status)
{
    char path[PATH_MAX], next[PATH_MAX];
    snprintf(path, sizeof path, "%s/lock", folder);
    /* One folder at a time: else the list of a process that was slow would come over that of one that began later. */
    int lock = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    path_in(path, folder, status->st_ino, "names");
    path_in(next, folder, status->st_ino, "next");
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = own < 0 ? NULL : fdopendir(own);
    FILE *list = lock < 0 || flock(lock, LOCK_EX) != 0 ? NULL : fopen(next, "we");
    if (entries == NULL || list == NULL)
        return fail(folder, "a folder");
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        const char *name = entry->d_name;
        struct stat found;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && keep_entry(folder, fd, name, &found) > 0)
            fprintf(list, "%ju %c %s%c", (uintmax_t)found.st_ino, S_ISDIR(found.st_mode) ? 'd' : 'f', name, 0);
    }
    if (fclose(list) != 0 || rename(next, path) != 0)
        fail(folder, "the names of a folder");
    closedir(entries);
    close(lock);
    return 0;
}

/* Also called by powercut.py, for what is on the disk when the server starts. */
int powercut_note(const char *folder, int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return fail(folder, "fstat");
    if (S_ISREG(status.st_mode))
        return note_file(folder, fd, &status);
    return S_ISDIR(status.st_mode) ? note_folder(folder, fd, &status) : 0;
}

/* Below the watched folder, or that itself; or the folder that it is in, which holds its name. */
static int is_watched(const char *path)
{
    size_t length = strlen(watched), above = strrchr(watched, '/') - watched;
    if (strncmp(path, watched, length) == 0 && (path[length] == '/' || path[length] == 0))
        return 1;
    return strlen(path) == above && strncmp(path, watched, above) == 0;
}

static void note(int fd)
{
    char link[64], path[PATH_MAX];
    int error = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = shadow == NULL ? -1 : readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        if (is_watched(path))
            powercut_note(shadow, fd);
    }
    errno = error;
}

int fsync(int fd)
{
    note(fd);
    return real_fsync(fd);
}

int fdatasync(int fd)
{
    note(fd);
    return real_fdatasync(fd);
}

/* The whole file is noted, whatever part of it is synced. */
int msync(void *address, size_t length, int flags)
{
    FILE *maps = shadow != NULL && flags & MS_SYNC ? fopen("/proc/self/maps", "re") : NULL;
    char line[PATH_MAX + 128], path[PATH_MAX];
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start, stop;
        if (sscanf(line, "%jx-%jx %*s %*s %*s %*s %4095[^\n]", &start, &stop, path) != 3)
            continue;
        if (start <= (uintptr_t)address && (uintptr_t)address < stop && is_watched(path)) {
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                fail(shadow, "msync");
            else
                note(fd);
            close(fd);
        }
    }
    if (maps != NULL)
        fclose(maps);
    return real_msync(address, length, flags);
}
