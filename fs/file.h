/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open files: reading, writing, copying ranges, and what close and fsync mean. Each operation answers by finishing its call. */
#ifndef S3B_FS_FILE_H
#define S3B_FS_FILE_H

#include <sys/uio.h>

#include "fs/internal.h"

/* So many streams are kept per open file when idle; a recipe that is read may have many sources. */
#define HANDLE_STREAMS_IDLE 4

/* One open(2). Guarded by fs->lock; a stream is used without it while `refs` keeps the handle. */
struct handle {
	struct fs *fs;
	struct handle *prev, *next; /* fs->handles */
	struct node *node; /* one reference */
	unsigned refs;
	bool writer, append;
	struct handle_stream {
		struct sched_source *source; /* one reference */
		struct stream *stream;
		unsigned reads; /* in hand */
	} *streams;
	size_t stream_count;
	struct node **entries; /* directories: what readdir shows, one reference each */
	size_t entry_count;
	bool entries_known;
};

struct handle *handle_new_locked(struct fs *fs, struct node *n);
void handle_ref_locked(struct handle *h);
/* Drops a reference; the last one closes. Streams are closed without the lock: it is released and taken again. */
void handle_put(struct fs *fs, struct handle *h);
/* The stream of H that reads SOURCE, for one read, which ends with handle_stream_done_locked. NULL: out of memory. *OLD gets one that
 * made room and must be closed without the lock. */
struct stream *handle_stream_locked(struct handle *h, struct sched_source *source, struct stream **old);
void handle_stream_done_locked(struct handle *h, const struct stream *st);

/* ino, flags. Result: handle, direct_io, keep_cache. */
void fs_open(struct call *c);
/* ino: the directory; name, mode, flags, uid, gid. Result: an entry and a handle. */
void fs_create(struct call *c);
/* handle, offset, size. Answered through reply_data. */
void fs_read(struct call *c, void (*reply_data)(struct call *c, const struct iovec *iov, int count));
/* handle, offset, size, data. Result: count. */
void fs_write(struct call *c);
/* handle, offset -> handle2, offset2; size. Result: count. */
void fs_copy_range(struct call *c);
/* handle, pid. */
void fs_flush(struct call *c);
/* handle. */
void fs_fsync(struct call *c);
/* handle: ends. */
void fs_release(struct call *c);
/* ino, attr, attr_mask. Result: stat. */
#define FS_SET_MODE 1u
#define FS_SET_UID 2u
#define FS_SET_GID 4u
#define FS_SET_SIZE 8u
#define FS_SET_MTIME 16u
void fs_setattr(struct call *c);

#endif
