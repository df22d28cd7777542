/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a file is to become: its recipe, and the commit that makes it so. Guarded by fs->lock.
 *
 * State legend (a node with content):
 *   dirty        recipe or attributes differ from S3 (generation != committed_generation)
 *   settling     dirty, no writer has it open: a timer will start the commit
 *   committing   a sched_commit is under way for committing_generation
 *   failed       the last commit failed for good and nobody was told
 *   clean        neither: the content is dropped as soon as no writer is left
 *
 * Invariants (content_check_locked): committing implies change; settling implies change; upload is NULL while committing;
 * PART extents only with upload, or while committing. */
#ifndef S3B_FS_CONTENT_H
#define S3B_FS_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/internal.h"
#include "fs/recipe.h"
#include "sched/memory.h"

struct content {
	struct node *node;
	struct recipe recipe;
	uint64_t generation, committed_generation, committing_generation;
	unsigned writers;        /* handles open for writing */
	bool committing;
	bool restart;            /* commit again as soon as the running one ends */
	bool told;               /* the program was interrupted, or has had the error already: a failure is no news */
	uint64_t commit_id;
	int64_t settle_due_ms;   /* commit then, unless a writer comes; 0: not settling */
	bool put_off;            /* it was to start, but something must come before it */
	unsigned tries, above_tries;
	uint64_t circle_round;   /* content_order.c */
	struct content *settle_prev, *settle_next; /* fs->settling */
	bool mtime_set;          /* a program set it: writes that went before do not count */
	struct change *change;
	int failed_errno;

	struct sched_upload *upload; /* parts that went up while the program wrote */
	char *upload_key;
	uint32_t next_part;
	unsigned parts_running;
	int upload_errno;        /* a part failed for good: the next write and the close say so */
	bool appending;          /* every write so far went to the end */

	unsigned ticket_blocks;  /* reserved as SCHED_MEMORY_PART, not yet taken */
	unsigned small_blocks;   /* taken as SCHED_MEMORY_WRITE since the last part */
	struct memory_wait *memory_wait;

	bool covers;             /* another file's object is still under this one's key: the commit replaces it */
	char *origin_key;        /* renamed: delete this key after the commit... */
	unsigned origin_bucket;
	struct node *origin_dir; /* where it had been, as this name, for people (one reference) */
	char *origin_name;

	struct call *commit_waiters; /* flush, fsync, setattr */
	struct call *memory_waiters; /* writes */
};

/* The content of a file, made from its base when there is none yet. NULL: out of memory. */
struct content *content_get_locked(struct fs *fs, struct node *n);
/* Drops a clean content without writers. */
void content_put_locked(struct fs *fs, struct node *n);
/* Forgets everything uncommitted (unlink): ends the upload, frees data. A running commit is left to end. */
void content_discard_locked(struct fs *fs, struct node *n);

/* Ends the upload of parts that went up while the file was written; nothing refers to it any more. */
void content_end_upload_locked(struct fs *fs, struct content *ct);

bool content_is_dirty_locked(const struct content *ct);
void content_touch_locked(struct content *ct); /* something changed: a new generation */

/* May the recipe change while a commit runs? Not when it copies from the file itself at another place: where those bytes are in the
 * new object could not be told afterwards. */
bool content_may_change_locked(const struct content *ct);

/* Starts the commit now (or right after the running one). */
void content_commit_locked(struct fs *fs, struct node *n);
/* Is one under way, or waiting for something that will end? */
bool content_will_commit_locked(const struct content *ct);
/* No writer is left: commit after DELAY_MS. */
void content_settle_locked(struct fs *fs, struct node *n, int64_t delay_ms);
/* Ends C when everything changed so far is in S3. True: C was finished or waits. */
void content_wait_locked(struct call *c, struct node *n);
int64_t content_settle_time_ms(const struct node *n);
/* For whoever is about to change BUCKET/KEY: starts the commits that still settle and read it, for the scheduler keeps the order of what
 * it was told. Is there one that cannot start yet? Then the change has to wait. */
bool content_key_is_needed_locked(struct fs *fs, const struct s3_bucket *bucket, const char *key, const struct node *except);
/* Does one of those that a change of BUCKET/KEY has to wait for wait for that change itself, over however many others? Two files that are
 * exchanged by copies do: S3 cannot, so one of the copies will fail and say so. Costs time: not to be asked often. */
bool content_waits_for_itself_locked(struct fs *fs, const struct s3_bucket *bucket, const char *key, const struct node *except);
/* Commits everything whose settle time is over (the scheduler's timer). */
void content_settle_timer(void *arg);
/* The key the object has (or had) in S3 differs from its place in the tree, or must be replaced: remembers the origin for deletion. */
int content_set_origin_locked(struct fs *fs, struct node *n, struct node *dir, const char *name, unsigned bucket, const char *key);
/* Sends the delete of BUCKET/KEY, which NAME in DIR stood for; the name stays hidden until it is done. REPLY may be NULL: it is
 * finished then, else failures are recorded. */
void object_delete_locked(struct fs *fs, struct node *dir, const char *name, unsigned bucket, const char *key, struct change *part_of,
			  struct call *reply);

/* Is there a delete of BUCKET/KEY that the scheduler was not told yet? */
bool object_delete_is_held_locked(const struct fs *fs, const struct s3_bucket *bucket, const char *key);

/* Directories: writes the marker with its attributes; a change until done. */
void marker_commit_locked(struct fs *fs, struct node *n);
void marker_wait_locked(struct call *c, struct node *n);

/* Streaming (content_stream.c): cuts full parts off and sends them. */
void content_stream_locked(struct fs *fs, struct node *n);
uint64_t content_part_bytes(const struct fs *fs, uint32_t number);
/* The errno with which a part failed, or 0, to be told to a program. */
int content_upload_error_locked(struct content *ct);
/* Reserves NBLOCKS blocks for a write, or parks C (returns false; it is resumed). */
bool content_reserve_locked(struct call *c, struct node *n, unsigned nblocks, struct block **blocks);
void content_release_tickets_locked(struct fs *fs, struct content *ct);

void content_check_locked(const struct content *ct);

#endif
