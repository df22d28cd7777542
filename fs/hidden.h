/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys that are gone in the mount and not yet in S3: files and directories that were deleted, or renamed while their object is still under
 * the old key. What S3 says about such a key counts for nothing, until an answer comes that was asked for after it had gone.
 *
 * By key and not by directory: the directory may have been deleted and made again meanwhile. Guarded by fs->lock. */
#ifndef S3B_FS_HIDDEN_H
#define S3B_FS_HIDDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
struct hidden_key;

/* A question to S3 whose answer may show keys as they were when it was asked. Embedded in the asker's record. */
struct hidden_ask {
	struct hidden_ask *prev, *next; /* fs->hidden.asks */
	uint64_t seq;
};

/* Somebody who waits until every key below PREFIX that was hidden when the wait began has gone. */
struct hidden_wait {
	struct hidden_wait *prev, *next; /* fs->hidden.waits */
	unsigned bucket;
	const char *prefix;              /* borrowed */
	uint64_t seq;
	size_t count;
	void (*fn)(struct hidden_wait *w); /* under fs->lock; W is not in the list any more */
};

struct hidden {
	struct hidden_key *keys;
	struct hidden_key *gone;    /* no longer hidden, except from older questions; oldest first */
	struct hidden_ask *asks;    /* under way, oldest first */
	struct hidden_wait *waits;
};

/* Counted: each add wants its end. */
void hidden_add_locked(struct fs *fs, unsigned bucket, const char *key);
void hidden_end_locked(struct fs *fs, unsigned bucket, const char *key);

/* Sets the question's place in fs->next_ask. */
void hidden_ask_begin_locked(struct fs *fs, struct hidden_ask *ask);
void hidden_ask_end_locked(struct fs *fs, struct hidden_ask *ask);

/* In both forms, `a` and `a/`: servers that keep an object as a directory show `a/` for a moment while they delete `a`. */
bool hidden_now_locked(const struct fs *fs, unsigned bucket, const char *key);
bool hidden_from_locked(const struct fs *fs, unsigned bucket, const char *key, const struct hidden_ask *ask);

/* Is something that KEY would be in hidden, as a file or as a directory, or KEY itself in its other form? Many servers keep keys as files
 * and directories: there `a` must go before `a/b` can come. */
bool hidden_above_locked(const struct fs *fs, unsigned bucket, const char *key);

/* False: nothing below is hidden, there is no wait. */
bool hidden_wait_below_locked(struct fs *fs, struct hidden_wait *w);
void hidden_unwait_locked(struct fs *fs, struct hidden_wait *w);

void hidden_free(struct fs *fs); /* nothing asks or waits any more */

#endif
