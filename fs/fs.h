/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core of the file system, seen from main, the session and the control directory. Does not know FUSE's types. */
#ifndef S3B_FS_FS_H
#define S3B_FS_FS_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/config.h"
#include "sched/sched.h"

struct fs;

/* CONFIG, SCHED and the buckets (config order) are borrowed and outlive the file system. NULL: out of memory. */
struct fs *fs_new(const struct config *config, struct sched *sched, struct s3_bucket *const *buckets);
/* Nothing may be open or pending (fs_wait first). */
void fs_free(struct fs *fs);

/* The kernel has gone: closes that it did not deliver any more count as made. fs_wait then ends with everything stored. */
void fs_end(struct fs *fs);

/* Runs CALL, without locks and before anything is answered, when the attributes that the kernel may still hold of INO are found to be
 * wrong: it would copy only as many bytes as the object had. NULL: nobody is to be told. */
typedef void (*fs_stale_fn)(void *arg, uint64_t ino);
void fs_on_stale(struct fs *fs, fs_stale_fn call, void *arg);

const struct config *fs_config(const struct fs *fs);
struct sched *fs_sched(const struct fs *fs);

/* Who writes the history of this file system's run; borrowed, may be NULL. Before anybody asks for it. */
struct recorder;
void fs_set_recorder(struct fs *fs, struct recorder *r);
struct recorder *fs_recorder(const struct fs *fs);

/* Runs DONE once everything below PATH (as the mount sees it, "/" is all) that was changed before this call is durable or
 * has failed. What was only waiting to settle is started now. DONE may run during the call. Returns an id for fs_wait_cancel. */
typedef void (*fs_wait_fn)(void *arg);
uint64_t fs_wait(struct fs *fs, const char *path, fs_wait_fn done, void *arg);
/* True: DONE will not run any more. */
bool fs_wait_cancel(struct fs *fs, uint64_t id);

/* Changes below PATH that are not durable yet. */
struct fs_pending {
	unsigned changes;   /* files, renames, deletes not yet in S3 */
	uint64_t bytes;     /* their sizes */
};
void fs_pending(struct fs *fs, const char *path, struct fs_pending *out);

/* The failed changes below PATH; CALL must not call back into fs. Returns how many. */
typedef void (*fs_failure_fn)(void *arg, const char *path, const char *error);
unsigned fs_failures(struct fs *fs, const char *path, fs_failure_fn call, void *arg);

struct fs_stats {
	uint64_t nodes;       /* inodes known */
	unsigned open_files;
	uint64_t lookups_cached, lookups_asked;
	uint64_t reads, read_bytes, writes, written_bytes, copy_ranges, copy_range_bytes;
};
void fs_stats(struct fs *fs, struct fs_stats *out);

#endif
