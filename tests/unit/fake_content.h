/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an object holds, without holding it: runs of a pattern that a seed and an offset define, zeros, or real bytes. So
 * a test can copy terabytes, and still see one byte in the wrong place. */
#ifndef S3B_TEST_FAKE_CONTENT_H
#define S3B_TEST_FAKE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_run {
	uint64_t seed;        /* 0: zeros */
	uint64_t offset_bytes;
	uint64_t length_bytes;
	unsigned char *bytes; /* owned; NULL: the pattern */
};

struct fake_content {
	struct fake_run *runs;
	size_t count, capacity;
	uint64_t size_bytes;
};

void content_add_pattern(struct fake_content *c, uint64_t seed, uint64_t offset, uint64_t length);
void content_add_bytes(struct fake_content *c, const void *bytes, uint64_t length);
/* Appends LENGTH bytes of FROM from OFFSET on. */
void content_add_slice(struct fake_content *c, const struct fake_content *from, uint64_t offset, uint64_t length);
void content_read(const struct fake_content *c, uint64_t offset, void *buf, size_t length);
bool content_equal(const struct fake_content *a, const struct fake_content *b);
void content_clear(struct fake_content *c);

/* The pattern itself. */
unsigned char fake_pattern(uint64_t seed, uint64_t offset);

#endif
