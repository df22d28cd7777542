/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core's own state; private to fs/. It does not know FUSE: operations come as a struct call and are answered by finishing it.
 *
 * Locks, in this order: fs->lock, then a stream's, then those inside sched/ and s3/. Nothing that may call back into fs runs under
 * fs->lock: finished calls are collected and run by fs_unlock(). Callbacks of sched/ come without locks on its thread and take
 * fs->lock. A memory waiter's callback may come while fs->lock is held (a block was dropped): it only posts to the
 * scheduler thread. */
#ifndef S3B_FS_INTERNAL_H
#define S3B_FS_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <uthash.h>

#include "fs/config.h"
#include "fs/fs.h"
#include "fs/hidden.h"
#include "fs/node.h"
#include "fs/recipe.h"
#include "fs/stream.h"
#include "sched/sched.h"

/* How long after the last close a commit waits for what may still come: times, mode, rename. */
#define SETTLE_MS 50
#define SETTLE_TEMPORARY_MS 3000
/* Kernel-side lifetime of names and attributes; ours is config.metadata_ttl_ms. */
#define KERNEL_TTL_MS 1000

struct handle;

/* One operation in hand. Allocated by the adapter, which also frees it in finish(). */
struct call {
	struct fs *fs;
	void *request;                        /* the adapter's */
	void (*finish)(struct call *c, int err); /* ERR: 0 or a positive errno; without locks, once */
	void (*resume)(struct call *c);       /* under fs->lock, when what it waited for has happened */
	void (*interrupt)(struct call *c);    /* under fs->lock, may be NULL: more to do than leaving the queue */
	uint64_t id;
	UT_hash_handle hh;                    /* fs->calls by id */
	struct call **queue;                  /* the list it waits in, NULL: none */
	struct call *prev, *next;
	struct call *finished_next;
	int err;
	bool interrupted;
	int64_t start_ms;

	/* arguments */
	uint64_t ino, ino2;
	char *name, *name2;                   /* owned by the call */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	mode_t mode;
	int flags;
	struct handle *handle, *handle2;
	uint64_t offset, offset2;
	size_t size;
	const void *data;                     /* WRITE: the adapter's buffer, valid until the operation function returns */
	void *owned_data;                     /* WRITE: a copy, made when it has to wait */
	struct stat attr;                     /* SETATTR */
	unsigned attr_mask;

	/* results */
	struct node *node;                    /* entry; its attributes are in stat */
	struct stat stat;
	int64_t entry_ttl_ms;
	uint64_t count;
	bool direct_io, keep_cache;
	char *text;                           /* readlink; owned */

	unsigned step;                        /* the operation's own: how far it is */
	void *private;                        /* the operation's own */
	void (*reply_data)(struct call *c, const struct iovec *iov, int count); /* READ: instead of finish */
	struct stream *reading;               /* READ: the stream that has it in hand */
	uint64_t wait_id;                     /* READ: for stream_interrupt */
};

/* A change that is not yet in S3: fs_wait waits for these, oldest first. */
struct change {
	struct change *prev, *next;
	uint64_t seq;
	struct node *node; /* one reference; NULL for a delete */
	char *path;        /* delete: the path it had */
};

struct failure {
	struct failure *prev, *next;
	char *path;
	char *error;
};
#define FAILURES_MAX 10000

struct waiter {
	struct waiter *prev, *next;
	uint64_t id, seq;
	char *path;
	const struct change *blocking;
	fs_wait_fn done;
	void *arg;
};

struct stale {
	struct stale *next;
	uint64_t ino;
};

struct fs {
	pthread_mutex_t lock;
	const struct config *config;
	struct sched *sched;
	struct s3_bucket *const *buckets;
	struct recorder *recorder;

	struct node *nodes; /* by ino */
	struct node *root;
	uint64_t next_ino;
	uint64_t next_ask; /* orders questions to S3 and our own commits, which a clock of milliseconds cannot */
	struct timespec started;

	struct handle *handles; /* open */
	struct object_delete *held_deletes;
	struct hidden hidden;

	struct call *calls; /* by id: those an interrupt may look for */
	_Atomic uint64_t next_call;
	struct call *finished, **finished_tail;

	struct change *changes;
	uint64_t next_seq;
	struct failure *failures;
	unsigned failure_count;
	struct waiter *waiters;
	uint64_t next_waiter;
	struct waiter *woken; /* done callbacks to run at unlock */
	struct stale *stale;  /* nodes to tell the kernel of at unlock */
	fs_stale_fn stale_fn;
	void *stale_arg;

	struct content *settling; /* closed files that wait a moment for what may still come */
	bool settle_armed;
	unsigned change_count;
	unsigned moves; /* directories being renamed */
	struct call *pending_waiters; /* closes that wait because too much is pending */

	struct fs_stats stats;
};

/* More changes than this are not taken on: close() waits then, whatever the mode. */
#define PENDING_MAX 4096

void fs_lock(struct fs *fs);
void fs_unlock(struct fs *fs); /* then runs what was finished under the lock */

/* Calls. call_begin_locked makes an interrupt find it; call_finish_locked ends it. */
void call_begin_locked(struct fs *fs, struct call *c);
void call_finish_locked(struct call *c, int err);
/* Waits in QUEUE for RESUME; an interrupt that has come already ends it at once. */
void call_wait_locked(struct call *c, struct call **queue, void (*resume)(struct call *c));
void call_wake_locked(struct call **queue); /* resumes all that wait there */
void fs_interrupt(struct fs *fs, uint64_t call_id);

/* Changes. */
/* PART_OF: who waits for that waits for this one, too. */
struct change *change_begin_locked(struct fs *fs, struct node *n, const char *path, struct change *part_of);
void change_end_locked(struct fs *fs, struct change *c);
bool change_is_pending_locked(struct fs *fs, const struct node *n); /* at or below N */
void failure_add_locked(struct fs *fs, const char *path, const char *error);
void failure_drop_locked(struct fs *fs, const char *path);
void failure_forget_locked(struct fs *fs, const struct node *n); /* somebody dealt with it: N was removed or written anew */

int64_t fs_now_ms(const struct fs *fs); /* the scheduler's clock, which tests make virtual */
bool fs_is_readonly_locked(const struct fs *fs, const struct node *n);

/* listing.c: is the listing of DIR complete and fresh for a call that began at START_MS? */
bool listing_is_fresh_locked(const struct fs *fs, const struct node *dir, int64_t start_ms);
/* Starts (or joins) a listing. WHOLE: to the end; else at most one page. 0 or a negative errno: nothing was started. */
int listing_start_locked(struct fs *fs, struct node *dir, bool whole);

/* ahead.c. Somebody waits for N's attributes; a listing of DIR has ended; a program reads DIR. */
void ahead_of_attributes_locked(struct fs *fs, struct node *n);
void ahead_of_listing_locked(struct fs *fs, struct node *dir);
void ahead_of_walk_locked(struct fs *fs, struct node *dir);

/* N turned out to be another object than the kernel was told. */
void node_is_stale_locked(struct fs *fs, const struct node *n);

/* lookup.c */
bool node_is_fresh_locked(const struct fs *fs, const struct node *n, int64_t start_ms);
/* Sends a HEAD of N unless one is on its way. 0, or a negative errno: nothing was sent. */
int head_start_locked(struct fs *fs, struct node *n);
/* Makes sure that N's attributes may be answered: true, or false when C waits (resumed) or was finished with an error. */
bool node_ensure_locked(struct call *c, struct node *n, void (*resume)(struct call *c));
/* The entry result of a call. */
void call_entry_locked(struct call *c, struct node *n);

#endif
