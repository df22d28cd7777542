/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The check of buckets before the mount, against a backend with a virtual clock. */
#include "fs/bucket_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BUCKETS 3
#define NEVER   (-1)

struct s3_bucket {
	const char *label;
	int64_t answer_after_ms; /* NEVER: only when cancelled */
	enum s3_error errors[4]; /* of the attempts, one after the other; the last counts for the rest */
	unsigned attempts;
};

struct fake {
	struct s3_backend base;
	int64_t now_ms;
	struct s3_request *held[BUCKETS];
	int64_t answer_at_ms[BUCKETS];
	unsigned in_flight, in_flight_max;
};

const char *s3_bucket_label(const struct s3_bucket *b)
{
	return b->label;
}

const char *s3_bucket_name(const struct s3_bucket *b)
{
	return b->label;
}

const char *s3_bucket_endpoint(const struct s3_bucket *b)
{
	return "http://127.0.0.1:1";
}

struct s3_request *s3_request_new(enum s3_op op, const struct s3_bucket *bucket, const char *key)
{
	struct s3_request *r = calloc(1, sizeof(*r));

	r->op = op;
	r->bucket = bucket;
	return r;
}

void s3_request_free(struct s3_request *r)
{
	free(r->prefix);
	free(r);
}

void s3_request_rearm(struct s3_request *r)
{
	r->result = (struct s3_result){0};
}

static void submit(struct s3_backend *be, struct s3_request *r)
{
	struct fake *f = (struct fake *)be;

	assert_int_equal(r->op, S3_OP_LIST);
	assert_int_equal(r->max_keys, 1);
	assert_string_equal(r->prefix, "p/");
	for (size_t i = 0; i < BUCKETS; i++) {
		if (f->held[i])
			continue;
		f->held[i] = r;
		f->answer_at_ms[i] =
			r->bucket->answer_after_ms == NEVER ? INT64_MAX : f->now_ms + r->bucket->answer_after_ms;
		f->in_flight++;
		if (f->in_flight > f->in_flight_max)
			f->in_flight_max = f->in_flight;
		return;
	}
	fail();
}

static void cancel(struct s3_backend *be, struct s3_request *r)
{
	struct fake *f = (struct fake *)be;

	for (size_t i = 0; i < BUCKETS; i++) {
		if (f->held[i] == r) {
			f->answer_at_ms[i] = f->now_ms;
			r->result.error = S3_ERR_CANCELLED;
		}
	}
}

static void finish(struct s3_request *r)
{
	struct s3_bucket *b = (struct s3_bucket *)r->bucket;

	if (r->result.error == S3_OK)
		r->result.error = b->errors[b->attempts < 3 ? b->attempts : 3];
	b->attempts++;
	snprintf(r->result.message, sizeof(r->result.message), "%s: error %d", b->label, r->result.error);
}

static size_t poll_fake(struct s3_backend *be, struct s3_request **done, size_t max, int64_t timeout_ms)
{
	struct fake *f = (struct fake *)be;
	int64_t until_ms = timeout_ms < 0 ? INT64_MAX : f->now_ms + timeout_ms;
	size_t n = 0;

	assert_true(max >= BUCKETS);
	for (size_t i = 0; i < BUCKETS; i++)
		if (f->held[i] && f->answer_at_ms[i] < until_ms)
			until_ms = f->answer_at_ms[i];
	assert_int_not_equal(until_ms, INT64_MAX); /* it would sleep for ever */
	f->now_ms = until_ms;
	for (size_t i = 0; i < BUCKETS; i++) {
		if (!f->held[i] || f->answer_at_ms[i] > f->now_ms)
			continue;
		finish(f->held[i]);
		done[n++] = f->held[i];
		f->held[i] = NULL;
		f->in_flight--;
	}
	return n;
}

static int64_t now_ms(struct s3_backend *be)
{
	return ((struct fake *)be)->now_ms;
}

static const struct s3_backend_ops ops = {.submit = submit, .cancel = cancel, .poll = poll_fake, .now_ms = now_ms};

struct said {
	char text[4][512];
	unsigned count;
};

static void say(void *arg, const char *sentence)
{
	struct said *s = arg;

	assert_true(s->count < 4);
	snprintf(s->text[s->count++], sizeof(s->text[0]), "%s", sentence);
}

static unsigned check(struct fake *f, struct s3_bucket *buckets, size_t count, struct said *said)
{
	struct s3_bucket *list[BUCKETS] = {&buckets[0], &buckets[1], &buckets[2]};
	static const char *const prefixes[BUCKETS] = {"p/", "p/", "p/"};
	unsigned failed;

	*f = (struct fake){.base = {&ops}, .now_ms = 1000};
	*said = (struct said){.count = 0};
	failed = bucket_check(&f->base, list, prefixes, count, 15000, say, said);
	assert_int_equal(f->in_flight, 0);
	assert_int_equal(failed, said->count);
	return failed;
}

static void good_buckets_are_asked_at_once_and_pass(void **state)
{
	struct s3_bucket b[BUCKETS] = {{.label = "a", .answer_after_ms = 50},
				       {.label = "b", .answer_after_ms = 50},
				       {.label = "c", .answer_after_ms = 50}};
	struct said said;
	struct fake f;

	assert_int_equal(check(&f, b, BUCKETS, &said), 0);
	assert_int_equal(f.in_flight_max, BUCKETS);
	assert_int_equal(f.now_ms, 1050);
}

static void each_failing_bucket_gets_one_sentence(void **state)
{
	struct s3_bucket b[BUCKETS] = {
		{.label = "a", .errors = {S3_ERR_CONNECT}},
		{.label = "b"},
		{.label = "c", .errors = {S3_ERR_ACCESS}, .answer_after_ms = 5},
	};
	struct said said;
	struct fake f;

	assert_int_equal(check(&f, b, BUCKETS, &said), 2);
	assert_non_null(strstr(said.text[0], "a: error"));
	assert_non_null(strstr(said.text[1], "c: error"));
	/* Nothing that will not pass by itself is tried again. */
	assert_int_equal(b[0].attempts, 1);
	assert_int_equal(b[2].attempts, 1);
	assert_int_equal(f.now_ms, 1005);
}

static void busy_server_is_asked_again(void **state)
{
	struct s3_bucket b[BUCKETS] = {
		{.label = "a", .errors = {S3_ERR_THROTTLED, S3_ERR_SERVER, S3_OK}},
		{.label = "b", .errors = {S3_ERR_NETWORK, S3_ERR_NETWORK, S3_ERR_NETWORK, S3_ERR_NETWORK}},
	};
	struct said said;
	struct fake f;

	assert_int_equal(check(&f, b, 2, &said), 1);
	assert_non_null(strstr(said.text[0], "b: error"));
	assert_int_equal(b[0].attempts, 3);
	assert_int_equal(b[1].attempts, 3);
}

static void silent_server_ends_with_the_deadline(void **state)
{
	struct s3_bucket b[BUCKETS] = {
		{.label = "a", .answer_after_ms = NEVER},
		{.label = "b", .answer_after_ms = 14900, .errors = {S3_ERR_SERVER}}, /* its retry would come too late */
	};
	struct said said;
	struct fake f;

	assert_int_equal(check(&f, b, 2, &said), 2);
	assert_int_equal(f.now_ms, 16000);
	assert_non_null(strstr(said.text[1], "bucket \"a\" (a at http://127.0.0.1:1): no answer in time"));
	assert_non_null(strstr(said.text[0], "b: error"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_buckets_are_asked_at_once_and_pass),
		cmocka_unit_test(each_failing_bucket_gets_one_sentence),
		cmocka_unit_test(busy_server_is_asked_again),
		cmocka_unit_test(silent_server_ends_with_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
