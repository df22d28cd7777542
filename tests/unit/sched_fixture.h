/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A scheduler on the fake S3, stepped by the test itself, and records of what was called back. */
#ifndef S3B_TEST_SCHED_FIXTURE_H
#define S3B_TEST_SCHED_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched/sched.h"
#include "tests/unit/fake_s3.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

struct fixture {
	struct fake_s3 *s3;
	struct sched *s;
	struct s3_bucket a, b; /* one account */
	struct s3_bucket far;  /* another */
};

struct outcome {
	unsigned calls;
	unsigned order; /* when it was called, counted over all */
	struct sched_result result;
};

static unsigned outcome_order;

static inline void record(void *arg, const struct sched_result *r)
{
	struct outcome *o = arg;

	o->calls++;
	o->order = ++outcome_order;
	o->result = *r;
}

static inline void fixture_open(struct fixture *fx, const struct sched_config *config)
{
	struct sched_config c = config ? *config : (struct sched_config){0};

	*fx = (struct fixture){0};
	if (!c.memory_limit_bytes)
		c.memory_limit_bytes = 256 * MIB;
	if (!c.seed)
		c.seed = 1;
	fx->s3 = fake_s3_new(c.seed);
	fake_bucket_init(&fx->a, "a", 1);
	fake_bucket_init(&fx->b, "b", 1);
	fake_bucket_init(&fx->far, "far", 2);
	fx->s = sched_new(&c, &fx->s3->backend);
	assert_non_null(fx->s);
	outcome_order = 0;
}

/* Until nothing is queued or in flight. */
static inline void run(struct fixture *fx)
{
	while (sched_step(fx->s, 0))
		sched_step(fx->s, 1000);
}

static inline void run_for(struct fixture *fx, int64_t ms)
{
	int64_t end_us = fx->s3->now_us + ms * 1000;

	while (fx->s3->now_us < end_us)
		sched_step(fx->s, (end_us - fx->s3->now_us + 999) / 1000);
}

static inline void fixture_close(struct fixture *fx)
{
	struct sched_memory_stats m;

	sched_stop(fx->s);
	sched_memory_stats(sched_memory_of(fx->s), &m);
	assert_int_equal(m.used_bytes[SCHED_MEMORY_RELAY], 0);
	sched_free(fx->s);
	fake_s3_free(fx->s3);
	block_trim();
}

/* ------------------------------------------------------------------------------------------------- extents */

static inline struct sched_extent copy_of(const struct fake_object *o, uint64_t offset, uint64_t length)
{
	return (struct sched_extent){
		.kind = SCHED_EXTENT_COPY,
		.offset_bytes = offset,
		.length_bytes = length,
		.source = sched_source_new(o->bucket, strchr(o->key, '\n') + 1, o->etag, o->content.size_bytes),
	};
}

/* LENGTH bytes (at most a block) of pattern SEED. */
static inline struct sched_extent data_of(uint64_t seed, uint64_t length)
{
	struct sched_extent e = {.kind = SCHED_EXTENT_DATA, .length_bytes = length, .block = block_new(NULL)};
	uint64_t i;

	assert_true(length <= BLOCK_BYTES);
	for (i = 0; i < length; i++)
		block_data(e.block)[i] = fake_pattern(seed, i);
	return e;
}

static inline struct sched_extent zeros(uint64_t length)
{
	return (struct sched_extent){.kind = SCHED_EXTENT_ZERO, .length_bytes = length};
}

static inline struct sched_extent part_extent(uint32_t number, uint64_t length)
{
	return (struct sched_extent){.kind = SCHED_EXTENT_PART, .part_number = number, .length_bytes = length};
}

static inline struct sched_extent *extent_array(const struct sched_extent *e, size_t count)
{
	struct sched_extent *copy = calloc(count ? count : 1, sizeof(*copy));

	assert_non_null(copy);
	if (count)
		memcpy(copy, e, count * sizeof(*copy));
	return copy;
}

static inline uint64_t commit_extents(struct fixture *fx, const struct s3_bucket *b, const char *key,
				      const struct s3_headers *headers, const struct sched_extent *e, size_t count,
				      struct sched_upload *u, struct outcome *o)
{
	struct sched_commit c = {
		.bucket = b,
		.key = key,
		.headers = headers,
		.extents = extent_array(e, count),
		.extent_count = count,
		.upload = u,
		.done = record,
		.arg = o,
	};

	return sched_commit(fx->s, &c);
}

#define COMMIT(fx, b, key, o, ...)                                                                                     \
	commit_extents(fx, b, key, NULL, (const struct sched_extent[]){__VA_ARGS__},                                   \
		       sizeof((const struct sched_extent[]){__VA_ARGS__}) / sizeof(struct sched_extent), NULL, o)

static inline uint64_t commit_copy_of(struct fixture *fx, const struct s3_bucket *b, const char *key,
				      const struct fake_object *src, struct outcome *o)
{
	return COMMIT(fx, b, key, o, copy_of(src, 0, src->content.size_bytes));
}

/* -------------------------------------------------------------------------------------------------- checks */

static inline void assert_ok(const struct outcome *o)
{
	if (o->calls == 1 && o->result.error != S3_OK)
		print_message("unexpected: %s: %s\n", s3_error_name(o->result.error), o->result.message);
	assert_int_equal(o->calls, 1);
	assert_int_equal(o->result.error, S3_OK);
}

static inline void assert_failed(const struct outcome *o, enum s3_error e)
{
	assert_int_equal(o->calls, 1);
	assert_string_equal(s3_error_name(o->result.error), s3_error_name(e));
	assert_true(o->result.message[0]);
}

/* The object is there, and is pattern SEED from OFFSET on. */
static inline void assert_pattern(struct fixture *fx, const struct s3_bucket *b, const char *key, uint64_t seed,
				  uint64_t offset, uint64_t size)
{
	struct fake_object *o = fake_find(fx->s3, b, key);
	struct fake_content expected = {0};

	assert_non_null(o);
	content_add_pattern(&expected, seed, offset, size);
	assert_true(content_equal(&o->content, &expected));
	content_clear(&expected);
}

static inline struct sched_stats stats_of(struct fixture *fx)
{
	struct sched_stats st;

	sched_stats(fx->s, &st);
	return st;
}

#endif
