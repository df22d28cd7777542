/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recipe: the ordered extents that cover a file being written (see sched_extent). Pure data structure; the caller
 * serialises access (the open file's lock). All sizes in bytes.
 *
 * Invariants, checked by recipe_check() in debug builds: extents have length > 0; their lengths sum to size; DATA extents lie
 * within their block; adjacent COPY extents that continue each other are merged, and so are ZERO extents. */
#ifndef S3B_FS_RECIPE_H
#define S3B_FS_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/sched.h"

struct recipe {
	struct sched_extent *extents;
	size_t count, capacity;
	uint64_t size_bytes;
};

#define RECIPE_INIT ((struct recipe){0})

void recipe_clear(struct recipe *r); /* drops every reference */

/* All of these: 0 or -ENOMEM (the recipe is unchanged then), and -EOPNOTSUPP where PART extents would be cut: what was
 * uploaded as a part cannot be read back before the upload is complete. */

/* The file becomes SIZE long: cut, or filled with ZERO. */
int recipe_truncate(struct recipe *r, uint64_t size);

/* OFFSET.. becomes LENGTH bytes of SOURCE from SRC_OFFSET (a reference is taken). A gap before OFFSET becomes ZERO. */
int recipe_copy(struct recipe *r, uint64_t offset, struct sched_source *source, uint64_t src_offset, uint64_t length);

/* Appends/replaces with references to the extents of FROM in [SRC_OFFSET, SRC_OFFSET+LENGTH), which lies within FROM. R and FROM may
 * be the same recipe. */
int recipe_copy_range(struct recipe *r, uint64_t offset, const struct recipe *from, uint64_t src_offset, uint64_t length);

int recipe_zero(struct recipe *r, uint64_t offset, uint64_t length);

/* How many new blocks recipe_write needs for this range: none for bytes that fall into a block held by nobody else
 * (inside its DATA extent, or in its free rest when the extent ends the file there). */
size_t recipe_write_needs(const struct recipe *r, uint64_t offset, size_t length);
/* Writes bytes, using up to NBLOCKS fresh blocks from BLOCKS (references move here for those used; *USED says how many). NBLOCKS is at
 * least recipe_write_needs(). */
int recipe_write(struct recipe *r, uint64_t offset, const void *data, size_t length, struct block **blocks, size_t nblocks,
		 size_t *used);

/* The extent that holds OFFSET, and where in it; NULL at or behind the end. */
const struct sched_extent *recipe_find(const struct recipe *r, uint64_t offset, uint64_t *within);

/* Takes the first LENGTH bytes behind the leading PART extents out of the recipe and replaces them with PART(number): the range
 * must be DATA and ZERO only. The extents (with references) are returned in a malloc'd array. For streaming uploads. */
int recipe_cut_part(struct recipe *r, uint64_t length, uint32_t number, struct sched_extent **out, size_t *out_count);

/* Length of the leading PART extents, and of the DATA/ZERO run that follows them. */
uint64_t recipe_parts_bytes(const struct recipe *r);
uint64_t recipe_stream_bytes(const struct recipe *r);

/* A copy of the extents with references, for a commit. NULL: out of memory (or count 0: see *out_count). */
struct sched_extent *recipe_snapshot(const struct recipe *r, size_t *out_count);

bool recipe_has_parts(const struct recipe *r);
bool recipe_has_data(const struct recipe *r); /* any DATA or PART */

void recipe_check(const struct recipe *r);

#endif
