/*
 * A disk that can lose its power: preloaded into a broker by packages/testkit/src/crash/power.ts.
 *
 * Every write to a file below POWER_FOLDER is done, and noted in POWER_JOURNAL with its bytes before it is done; every sync is noted
 * with its begin and its end. After a kill -9 the journal says what a disk must have kept (what was synced) and what it may have
 * lost or torn (the rest): power-cut.ts makes such a folder of it. No real sync is done, since nothing here relies on one.
 *
 * What is noted, each as a header of five numbers and then bytes: see `enum kind`; files are told apart by their inode. Writing through
 * a shared mapping cannot be seen: such a mapping is noted, and the reader of the journal takes the file's content for unsure.
 *
 * POWER_DELAY=MS: a sync, and a write with O_DSYNC, takes up to so many milliseconds. POWER_ERRORS=N: of 1000 of them N fail, with EIO or
 * ENOSPC, but none of the first 20: a broker may refuse to start on such a disk. POWER_SEED: both are drawn from it, per process.
 *
 * Build: cc -shared -fPIC -O2 -o power.so power.c -ldl -lpthread
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
	OPENED = 1,   /* path: this file was there */
	CREATED = 2,  /* path */
	WRITTEN = 3,  /* a = offset, bytes */
	DSYNCED = 4,  /* a = number of the WRITTEN that is now on the disk */
	SYNCING = 5,
	SYNCED = 6,   /* a = number of the SYNCING that has succeeded */
	UNSYNCED = 7, /* a = number of the SYNCING that has failed: what it was to sync is lost, unless chance has it */
	CUT = 8,      /* a = new length */
	RENAMED = 9,  /* two paths, each with its 0 */
	UNLINKED = 10,
	LINKED = 11,  /* two paths */
	MAPPED = 12,  /* shared, and writable */
	FOLDER = 13,  /* path of a folder that is open */
};

#define FDS 65536
#define ENTRY __attribute__((visibility("default")))

static struct {
	char is_watched, is_dsync;
	uint64_t inode;
} fds[FDS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char folder[PATH_MAX];
static size_t folder_length;
static uint64_t number, chance, syncs;
static unsigned delay_ms, errors;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off64_t);
static int (*real_ftruncate)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);
static int (*real_link)(const char *, const char *);
static void *(*real_mmap)(void *, size_t, int, int, int, off64_t);

static uint64_t draw(void)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance;
}

static void find_real(void)
{
	real_open = dlsym(RTLD_NEXT, "open64");
	real_close = dlsym(RTLD_NEXT, "close");
	real_write = dlsym(RTLD_NEXT, "write");
	real_writev = dlsym(RTLD_NEXT, "writev");
	real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
	real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
	real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
	real_fsync = dlsym(RTLD_NEXT, "fsync");
	real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
	real_rename = dlsym(RTLD_NEXT, "rename");
	real_unlink = dlsym(RTLD_NEXT, "unlink");
	real_link = dlsym(RTLD_NEXT, "link");
	real_mmap = dlsym(RTLD_NEXT, "mmap64");
}

/* Other preloaded libraries may call before our own constructor has run. */
#define REAL(name) (real_##name != NULL ? real_##name : (find_real(), real_##name))

__attribute__((constructor)) static void begin(void)
{
	const char *where = getenv("POWER_FOLDER"), *path = getenv("POWER_JOURNAL"), *text;
	find_real();
	if (where == NULL || path == NULL || realpath(where, folder) == NULL)
		return;
	folder_length = strlen(folder);
	delay_ms = (text = getenv("POWER_DELAY")) ? (unsigned)atoi(text) : 0;
	errors = (text = getenv("POWER_ERRORS")) ? (unsigned)atoi(text) : 0;
	chance = ((text = getenv("POWER_SEED")) ? strtoull(text, NULL, 10) : 1) * 0x9e3779b97f4a7c15u + 1;
	for (int i = 0; i < 20; i++)
		draw();
	journal = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	/* A journal that goes on is numbered on: by bytes, which only grow. */
	struct stat st;
	number = journal >= 0 && fstat(journal, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Returns the number of the note. The lock is held. */
static uint64_t note(enum kind kind, uint64_t inode, uint64_t a, const struct iovec *parts, int count)
{
	struct iovec all[1030];
	uint64_t length = 0, header[5];
	for (int i = 0; i < count; i++) {
		all[i + 1] = parts[i];
		length += parts[i].iov_len;
	}
	number++;
	header[0] = kind;
	header[1] = number;
	header[2] = inode;
	header[3] = a;
	header[4] = length;
	all[0].iov_base = header;
	all[0].iov_len = sizeof header;
	/* One call: a kill leaves a note whole, or its end is missing and it is the last one. */
	if (REAL(writev)(journal, all, count + 1) != (ssize_t)(length + sizeof header))
		abort();
	return number;
}

static uint64_t note_path(enum kind kind, uint64_t inode, const char *path)
{
	struct iovec part = { (void *)path, strlen(path) + 1 };
	pthread_mutex_lock(&lock);
	uint64_t n = note(kind, inode, 0, &part, 1);
	pthread_mutex_unlock(&lock);
	return n;
}

static int is_below(const char *path)
{
	return journal >= 0 && path != NULL && strncmp(path, folder, folder_length) == 0 &&
	       (path[folder_length] == '/' || path[folder_length] == 0);
}

static int is_watched(int fd)
{
	return journal >= 0 && fd >= 0 && fd < FDS && fds[fd].is_watched;
}

static void stall(void)
{
	if (delay_ms == 0)
		return;
	pthread_mutex_lock(&lock);
	uint64_t us = draw() % (delay_ms * 1000u + 1);
	pthread_mutex_unlock(&lock);
	struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
	nanosleep(&ts, NULL);
}

static int fails(void)
{
	if (errors == 0)
		return 0;
	pthread_mutex_lock(&lock);
	uint64_t one = draw() % 1000, which = draw() % 2;
	syncs++;
	pthread_mutex_unlock(&lock);
	if (one >= errors || syncs <= 20)
		return 0;
	errno = which ? EIO : ENOSPC;
	return 1;
}

static int opened(int fd, const char *path, int flags, int was_there)
{
	struct stat st;
	if (fd < 0 || fd >= FDS || !is_below(path) || fstat(fd, &st) != 0)
		return fd;
	fds[fd].inode = st.st_ino;
	fds[fd].is_dsync = (flags & O_DSYNC) != 0;
	fds[fd].is_watched = 1;
	if (S_ISDIR(st.st_mode)) {
		note_path(FOLDER, st.st_ino, path);
	} else {
		note_path(was_there ? OPENED : CREATED, st.st_ino, path);
		if (was_there && (flags & O_TRUNC)) {
			pthread_mutex_lock(&lock);
			note(CUT, st.st_ino, 0, NULL, 0);
			pthread_mutex_unlock(&lock);
		}
	}
	return fd;
}

static int open_noted(const char *path, int flags, va_list more)
{
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
	int was_there = !is_below(path) || access(path, F_OK) == 0;
	return opened(REAL(open)(path, flags, mode), path, flags, was_there);
}

ENTRY int open64(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	int fd = open_noted(path, flags, more);
	va_end(more);
	return fd;
}

ENTRY int open(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	int fd = open_noted(path, flags, more);
	va_end(more);
	return fd;
}

ENTRY int close(int fd)
{
	if (fd >= 0 && fd < FDS)
		fds[fd].is_watched = 0;
	return REAL(close)(fd);
}

/* Notes what is about to be written; its number. */
static uint64_t writing(int fd, uint64_t offset, const struct iovec *parts, int count)
{
	pthread_mutex_lock(&lock);
	uint64_t n = note(WRITTEN, fds[fd].inode, offset, parts, count);
	pthread_mutex_unlock(&lock);
	return n;
}

static ssize_t written(int fd, uint64_t n, ssize_t result)
{
	if (!fds[fd].is_dsync || result < 0)
		return result;
	stall();
	if (fails())
		return -1;
	pthread_mutex_lock(&lock);
	note(DSYNCED, fds[fd].inode, n, NULL, 0);
	pthread_mutex_unlock(&lock);
	return result;
}

static uint64_t position(int fd)
{
	off64_t at = lseek64(fd, 0, SEEK_CUR);
	return at < 0 ? 0 : (uint64_t)at;
}

ENTRY ssize_t write(int fd, const void *bytes, size_t length)
{
	if (!is_watched(fd))
		return REAL(write)(fd, bytes, length);
	struct iovec part = { (void *)bytes, length };
	uint64_t n = writing(fd, position(fd), &part, 1);
	return written(fd, n, REAL(write)(fd, bytes, length));
}

ENTRY ssize_t writev(int fd, const struct iovec *parts, int count)
{
	if (!is_watched(fd))
		return REAL(writev)(fd, parts, count);
	uint64_t n = writing(fd, position(fd), parts, count);
	return written(fd, n, REAL(writev)(fd, parts, count));
}

ENTRY ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
	if (!is_watched(fd))
		return REAL(pwrite)(fd, bytes, length, offset);
	struct iovec part = { (void *)bytes, length };
	uint64_t n = writing(fd, (uint64_t)offset, &part, 1);
	return written(fd, n, REAL(pwrite)(fd, bytes, length, offset));
}

ENTRY ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	return pwrite64(fd, bytes, length, offset);
}

ENTRY ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
	if (!is_watched(fd))
		return REAL(pwritev)(fd, parts, count, offset);
	uint64_t n = writing(fd, (uint64_t)offset, parts, count);
	return written(fd, n, REAL(pwritev)(fd, parts, count, offset));
}

ENTRY ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	return pwritev64(fd, parts, count, offset);
}

ENTRY int ftruncate64(int fd, off64_t length)
{
	if (is_watched(fd)) {
		pthread_mutex_lock(&lock);
		note(CUT, fds[fd].inode, (uint64_t)length, NULL, 0);
		pthread_mutex_unlock(&lock);
	}
	return REAL(ftruncate)(fd, length);
}

ENTRY int ftruncate(int fd, off_t length)
{
	return ftruncate64(fd, length);
}

static int synced(int fd, int (*real)(int))
{
	if (!is_watched(fd))
		return real(fd);
	uint64_t inode = fds[fd].inode;
	pthread_mutex_lock(&lock);
	uint64_t n = note(SYNCING, inode, 0, NULL, 0);
	pthread_mutex_unlock(&lock);
	stall();
	int has_failed = fails(), error = errno;
	pthread_mutex_lock(&lock);
	note(has_failed ? UNSYNCED : SYNCED, inode, n, NULL, 0);
	pthread_mutex_unlock(&lock);
	errno = error;
	return has_failed ? -1 : 0;
}

ENTRY int fsync(int fd)
{
	return synced(fd, REAL(fsync));
}

ENTRY int fdatasync(int fd)
{
	return synced(fd, REAL(fdatasync));
}

static void note_paths(enum kind kind, const char *from, const char *to)
{
	struct iovec parts[2] = { { (void *)from, strlen(from) + 1 }, { (void *)to, strlen(to) + 1 } };
	pthread_mutex_lock(&lock);
	note(kind, 0, 0, parts, 2);
	pthread_mutex_unlock(&lock);
}

ENTRY int rename(const char *from, const char *to)
{
	int result = REAL(rename)(from, to);
	if (result == 0 && is_below(from) && is_below(to))
		note_paths(RENAMED, from, to);
	return result;
}

ENTRY int unlink(const char *path)
{
	int result = REAL(unlink)(path);
	if (result == 0 && is_below(path))
		note_path(UNLINKED, 0, path);
	return result;
}

ENTRY int link(const char *from, const char *to)
{
	int result = REAL(link)(from, to);
	if (result == 0 && is_below(from) && is_below(to))
		note_paths(LINKED, from, to);
	return result;
}

ENTRY void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset)
{
	if (is_watched(fd) && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
		pthread_mutex_lock(&lock);
		note(MAPPED, fds[fd].inode, 0, NULL, 0);
		pthread_mutex_unlock(&lock);
	}
	return REAL(mmap)(at, length, protection, flags, fd, offset);
}

ENTRY void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	return mmap64(at, length, protection, flags, fd, offset);
}
