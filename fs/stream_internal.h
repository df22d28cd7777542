/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the stream share: the structures, and the rules between them.
 *
 * A stream holds chunks (ranges of the object, each with a GET of its own) and reads that wait for them. The stream's
 * lock guards both and is never held while anything outside is called, because that may come back: dropping a block can
 * grant memory to another stream, whose GET then starts, on this very thread. So what is to be done is collected in a
 * struct stream_work under the lock, and done by stream_work_run() without it.
 *
 * Why nothing can wait for ever for memory. A block is held by
 *  - a chunk in flight: the network ends it;
 *  - a complete chunk that a read waits with, for other chunks that are all in flight or complete: that read ends;
 *  - any other complete chunk: stream_pool_reclaim() takes it as soon as somebody waits.
 * A read that depends on a chunk which itself waits for memory protects nothing; should it lose bytes meanwhile, it
 * asks for all of its range in one chunk, and then needs nothing else. */
#ifndef S3B_FS_STREAM_INTERNAL_H
#define S3B_FS_STREAM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/stream.h"

#define STREAM_READ_MAX ((size_t)1 << 20)
#define STREAM_VECTORS 24
#define STREAM_WORK_MAX 64

enum chunk_state {
	CHUNK_STARTING, /* its starter asks for memory */
	CHUNK_WAITING,  /* in the queue for memory */
	CHUNK_FLYING,   /* the GET is on its way */
	CHUNK_COMPLETE,
};

struct stream_piece {
	struct block *block; /* NULL: not yet there, or read and dropped */
	uint32_t served_bytes;
};

struct stream_chunk {
	struct stream *stream; /* a reference */
	uint64_t offset;
	size_t length;
	unsigned piece_count;
	bool exact; /* what one read asked for, of no use to others */

	/* the transfer thread's, while in flight */
	size_t received_bytes;
	bool overrun; /* more came than was asked for */

	/* the starter's */
	uint64_t reserved_bytes; /* in hand, not yet blocks */
	struct sched_memory_waiter waiter;

	/* under the stream's lock */
	enum chunk_state state;
	bool dropped;         /* no longer in the stream's list */
	uint64_t leaving_bytes; /* its share of pool->leaving_bytes */
	int refs;             /* the list, the starter, the GET */
	unsigned live;        /* pieces with a block */
	size_t filled_bytes;
	uint64_t request_id;  /* 0: not yet known */
	struct stream_chunk *prev, *next; /* the stream's list, by offset */
	struct stream_chunk *work_next;
	struct stream_piece pieces[]; /* blocks are put in by the starter before CHUNK_FLYING */
};

struct stream_wait {
	struct stream *stream; /* a reference */
	uint64_t id, offset;
	size_t length;
	stream_read_fn fn;
	void *arg;
	int err, count;
	struct iovec iov[STREAM_VECTORS];
	struct block *blocks[STREAM_VECTORS]; /* a reference each, once it is answered */
	struct stream_wait *prev, *next; /* the stream's list; then stream_work.answers */
};

struct stream {
	/* fixed */
	struct sched *sched;
	struct sched_memory *memory;
	struct sched_source *source;
	struct stream_pool *pool;
	uint64_t window_max_bytes;

	_Atomic int refs;        /* the caller, chunks, reads */
	_Atomic uint64_t tick;   /* when it was read last, on the pool's clock */
	_Atomic unsigned chunk_count;
	struct stream *prev, *next; /* the pool's list, under the pool's lock */

	pthread_mutex_t lock;
	/* under lock */
	bool logged;
	struct stream_chunk *chunks;
	struct stream_wait *reads;
	uint64_t last_id;
	/* the sequential run: a reader is expected at seq_end; up to ahead_end everything has been asked for */
	bool started, running;
	unsigned misses;
	uint64_t seq_end, ahead_end, grown_at, window_bytes;
	int64_t first_byte_us; /* the shortest wait of a GET for its first byte; 0: none yet */
	uint64_t far_end; /* where the last read outside the run ended */
};

/* What to do once the lock is dropped. */
struct stream_work {
	struct stream_chunk *starts;
	struct stream_chunk *dead;
	struct stream_wait *answers;
	uint64_t cancels[STREAM_WORK_MAX];
	unsigned cancel_count;
	struct block *trash[STREAM_WORK_MAX];
	unsigned trash_count;
	/* stream_read's own, which is told when it is answered during the call */
	struct stream_wait *current;
	uint64_t *current_id;
};

/* stream.c */
void stream_unref(struct stream *st);
void stream_answer_locked(struct stream_wait *r, int err, struct stream_work *work);
/* Answers the reads that have everything, and plans again for those that lost something. */
void stream_settle_locked(struct stream *st, struct stream_work *work);
/* The same, only for reads that the bytes up to FILLED of C (before: FROM) may have completed. */
void stream_settle_chunk_locked(struct stream_chunk *c, size_t from, size_t filled, struct stream_work *work);
/* Does a read wait for bytes of C; with PROTECTED, one that does not wait for memory as well. */
bool stream_chunk_awaited_locked(struct stream_chunk *c, bool protected);
void stream_drop_stale_locked(struct stream *st, struct stream_work *work);

/* stream_chunk.c */
/* Puts a new chunk into the list and into WORK's starts. NULL: out of memory. */
struct stream_chunk *stream_chunk_new_locked(struct stream *st, uint64_t offset, size_t length, bool exact,
					     struct stream_work *work);
bool stream_chunk_has(const struct stream_chunk *c, uint64_t pos);
uint64_t stream_chunk_piece_end(const struct stream_chunk *c, uint64_t pos);
/* Takes C from the list; its GET is cancelled. LOST: readahead has to fetch it again. */
void stream_chunk_remove_locked(struct stream_chunk *c, bool lost, struct stream_work *work);
/* Drops the block of piece I into the trash; false when the trash is full. */
bool stream_chunk_drop_piece_locked(struct stream_chunk *c, unsigned i, struct stream_work *work);
/* Takes a dropped chunk out of the queue for memory; the caller has taken a reference, which goes. Without the lock. */
void stream_chunk_unwait(struct stream_chunk *c);
void stream_work_run(struct stream *st, struct stream_work *work);

/* stream_pool.c: all streams that share one memory limit. */
struct stream_pool {
	struct sched_memory *memory;
	unsigned refs;
	struct stream_pool *prev, *next;
	pthread_mutex_t lock;
	struct stream *streams;
	_Atomic uint64_t tick;
	_Atomic uint64_t waiting_bytes; /* asked for by chunks in CHUNK_WAITING */
	_Atomic uint64_t leaving_bytes; /* held by cancelled GETs: about to come back */
};
struct stream_pool *stream_pool_join(struct sched_memory *memory);
void stream_pool_leave(struct stream_pool *pool);
void stream_pool_add(struct stream *st);
void stream_pool_remove(struct stream *st);
bool stream_pool_is_short(struct stream_pool *pool);
/* Takes readahead that nobody waits for, from the stream read longest ago first, for those who wait. */
void stream_pool_reclaim(struct stream_pool *pool);

#endif
