/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks: the unit in which file data is held in memory. Reference-counted, so that a recipe, a running upload and
 * a reader can share one without copying. Any thread.
 *
 * A block is written only while its holder is the only one (block_is_shared() false); afterwards it is immutable.
 * Free blocks are kept on a short list, because returning 128 KiB to the kernel and faulting it in again costs about
 * as much as filling it. */
#ifndef S3B_BLOCK_H
#define S3B_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define BLOCK_BYTES ((size_t)128 * 1024)

struct block;

/* Told when a block's last reference goes; called without locks on the thread that dropped it. */
struct block_owner {
	void (*released)(struct block_owner *owner);
};

/* One reference, contents undefined. NULL only when the process is out of memory.
 * OWNER may be NULL; else it outlives the block. Admission is the caller's business (sched/memory.h). */
struct block *block_new(struct block_owner *owner);
struct block *block_ref(struct block *b);
void block_unref(struct block *b); /* NULL is allowed */
bool block_is_shared(const struct block *b);
unsigned char *block_data(struct block *b);

/* Frees the list of unused blocks (tests, and after a burst). */
void block_trim(void);

#endif
