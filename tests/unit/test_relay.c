/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relays of the real client: a PUT whose body comes from other objects, against a server that misbehaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "s3/base/clock.h"
#include "tests/unit/client_fixture.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define END {.method = NULL}

static struct s3_request *relay(struct fixture *f, const char *source, uint64_t offset, uint64_t length,
				const char *destination)
{
	struct s3_segment seg = segment_object(f, source, offset, length);

	return fixture_put(f, destination, &seg, 1);
}

static void every_size_arrives_whole(void **state)
{
	static const struct {
		uint64_t offset, length;
		size_t ring_bytes;
	} cases[] = {
		{0, 1, 0},
		{7, 4096, 0},
		{0, 16 * KIB, 0},
		{0, 64 * KIB + 1, 1},
		{0, MIB, 1},
		{0, MIB - 1, 0},
		{0, MIB, 0},
		{0, MIB + 1, 0},
		{3, 7 * MIB + 11, 0},
		{0, 7 * MIB, 100 * KIB + 1},
		{0, 3 * MIB, 16 * MIB},
	};
	static const enum stub_fault ways[] = {STUB_OK, STUB_CHUNKED};

	for (size_t w = 0; w < 2; w++) {
		struct stub_rule rules[] = {
			{.method = "GET", .key = "source", .size_bytes = 8 * MIB, .fault = ways[w]}, END};
		struct fixture f;

		fixture_start(&f, rules, 1);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct s3_request *r = relay(&f, "source", cases[i].offset, cases[i].length, "copy");
			const struct stub_upload *u;

			r->ring_bytes = cases[i].ring_bytes;
			fixture_run(&f, r);
			assert_int_equal(r->result.error, S3_OK);
			assert_int_equal(r->result.http_status, 200);
			assert_string_equal(r->result.etag, "\"stored\"");
			assert_int_equal(r->result.sent_bytes, cases[i].length);
			assert_int_equal(r->result.received_bytes, cases[i].length);
			assert_true(r->result.first_byte_us >= r->result.started_us);
			u = stub_server_upload(f.server, "copy");
			assert_true(upload_is_object(u, 0, cases[i].offset, cases[i].length));
			assert_int_equal(u->promised_bytes, cases[i].length);
			assert_int_equal(u->opened, i + 1);
			s3_request_free(r);
		}
		fixture_stop(&f);
	}
}

static void segments_of_all_kinds_make_one_body(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "a", .size_bytes = 3 * MIB},
		{.method = "GET", .key = "b", .size_bytes = 100},
		END,
	};
	const struct stub_upload *u;
	unsigned char *bytes = malloc(2 * MIB);
	struct fixture f;
	struct s3_request *r;
	uint64_t at = 0;

	assert_non_null(bytes);
	for (uint64_t i = 0; i < 2 * MIB; i++)
		bytes[i] = stub_byte(i + 1000);
	fixture_start(&f, rules, 1);
	struct s3_segment segs[] = {
		segment_memory(bytes, 5),            segment_object(&f, "a", 0, 0),
		segment_object(&f, "a", 9, 2 * MIB), segment_zero(70000),
		segment_object(&f, "b", 0, 100),     segment_object(&f, "b", 50, 1),
		segment_memory(bytes, 2 * MIB),      segment_object(&f, "a", MIB, 2 * MIB),
		segment_zero(3),
	};

	r = fixture_put(&f, "mixed", segs, sizeof(segs) / sizeof(segs[0]));
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_OK);
	u = stub_server_upload(f.server, "mixed");
	for (size_t i = 0; i < sizeof(segs) / sizeof(segs[0]); i++) {
		if (segs[i].kind == S3_SEGMENT_ZERO) {
			for (uint64_t n = 0; n < segs[i].length_bytes; n++)
				assert_int_equal(u->body[at + n], 0);
		} else {
			uint64_t from = segs[i].kind == S3_SEGMENT_MEMORY ? 1000 : segs[i].src_offset_bytes;

			assert_true(upload_is_object(u, at, from, segs[i].length_bytes));
		}
		at += segs[i].length_bytes;
	}
	assert_int_equal(u->received_bytes, at);
	s3_request_free(r);
	fixture_stop(&f);
	free(bytes);
}

static void a_bad_source_never_opens_the_destination(void **state)
{
	static const struct {
		struct stub_rule rule;
		enum s3_error error;
	} cases[] = {
		{{.fault = STUB_STATUS, .status = 404}, S3_ERR_NOT_FOUND},
		{{.fault = STUB_STATUS, .status = 412}, S3_ERR_PRECONDITION},
		{{.fault = STUB_STATUS, .status = 503, .header = "Retry-After: 3\r\n"}, S3_ERR_THROTTLED},
		{{.fault = STUB_RESET}, S3_ERR_NETWORK},
		{{.fault = STUB_LONGER}, S3_ERR_PROTOCOL},
		{{.fault = STUB_SHORTER}, S3_ERR_PROTOCOL},
		{{.fault = STUB_OTHER_RANGE}, S3_ERR_PROTOCOL},
		{{.fault = STUB_IGNORES_RANGE}, S3_ERR_PROTOCOL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stub_rule rules[] = {cases[i].rule, END};
		struct fixture f;
		struct s3_request *r;

		rules[0].method = "GET";
		rules[0].key = "source";
		rules[0].size_bytes = 4 * MIB;
		fixture_start(&f, rules, 1);
		struct s3_segment segs[] = {
			segment_zero(10),
			segment_object(&f, "source", 100, 3 * MIB),
		};

		r = fixture_put(&f, "copy", segs, 2);
		fixture_run(&f, r);
		if (r->result.error != cases[i].error)
			fail_msg("case %zu: %s", i, r->result.message);
		assert_true(r->result.source_failed);
		assert_non_null(strstr(r->result.message, "source"));
		assert_int_equal(r->result.retry_after_ms, cases[i].error == S3_ERR_THROTTLED ? 3000 : -1);
		assert_null(stub_server_upload(f.server, "copy"));
		s3_request_free(r);
		fixture_stop(&f);
	}
}

static void a_source_that_dies_half_way_never_completes_the_put(void **state)
{
	static const struct {
		enum stub_fault fault;
		uint64_t length;
		enum s3_error error;
	} cases[] = {
		{STUB_RESET_IN_BODY, 4 * MIB, S3_ERR_NETWORK},
		{STUB_CLOSE_IN_BODY, 4 * MIB, S3_ERR_NETWORK},
		{STUB_CLOSE_IN_BODY, 2, S3_ERR_NETWORK},
		{STUB_CLOSE_IN_BODY, 100 * KIB, S3_ERR_NETWORK},
		{STUB_LONGER_CHUNKED, 4 * MIB, S3_ERR_PROTOCOL},
		{STUB_LONGER_CHUNKED, 10, S3_ERR_PROTOCOL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stub_rule rules[] = {
			{.method = "GET", .key = "source", .size_bytes = 8 * MIB, .fault = cases[i].fault}, END};
		const struct stub_upload *u;
		struct fixture f;
		struct s3_request *r;

		fixture_start(&f, rules, 1);
		r = relay(&f, "source", 0, cases[i].length, "copy");
		fixture_run(&f, r);
		if (r->result.error != cases[i].error)
			fail_msg("case %zu: %s", i, r->result.message);
		assert_true(r->result.source_failed);
		usleep(100000);
		u = stub_server_upload(f.server, "copy");
		if (u) {
			assert_int_equal(u->completed, 0);
			assert_int_equal(u->promised_bytes, cases[i].length);
		}
		s3_request_free(r);
		fixture_stop(&f);
	}
}

static void a_later_segment_that_is_missing_fails_the_put(void **state)
{
	struct stub_rule rules[] = {{.method = "GET", .key = "source", .size_bytes = 8 * MIB}, END};
	struct fixture f;
	struct s3_request *r;

	fixture_start(&f, rules, 1);
	struct s3_segment segs[] = {
		segment_object(&f, "source", 0, 2 * MIB),
		segment_object(&f, "missing", 0, 2 * MIB),
	};

	r = fixture_put(&f, "copy", segs, 2);
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_ERR_NOT_FOUND);
	assert_true(r->result.source_failed);
	usleep(100000);
	assert_int_equal(stub_server_upload(f.server, "copy")->completed, 0);
	s3_request_free(r);
	fixture_stop(&f);
}

static void a_bad_destination_is_told_from_a_bad_source(void **state)
{
	static const struct {
		struct stub_rule rule;
		enum stub_fault source;
		enum s3_error error;
	} cases[] = {
		{{.fault = STUB_STATUS, .status = 403}, STUB_OK, S3_ERR_ACCESS},
		{{.fault = STUB_STATUS_EARLY, .status = 403}, STUB_OK, S3_ERR_ACCESS},
		{{.fault = STUB_STATUS_EARLY, .status = 503}, STUB_OK, S3_ERR_THROTTLED},
		/* The refusal comes while the PUT waits for bytes, or would wait for ever. */
		{{.fault = STUB_STATUS_EARLY, .status = 403}, STUB_SLOW, S3_ERR_ACCESS},
		{{.fault = STUB_STATUS_EARLY, .status = 503}, STUB_STALL, S3_ERR_THROTTLED},
		{{.fault = STUB_STATUS_KEEPS, .status = 403, .delay_ms = 500}, STUB_STALL, S3_ERR_ACCESS},
		{{.fault = STUB_STATUS_KEEPS, .status = 403, .delay_ms = 500}, STUB_OK, S3_ERR_ACCESS},
		{{.fault = STUB_RESET}, STUB_OK, S3_ERR_NETWORK},
		{{.fault = STUB_RESET_IN_BODY}, STUB_OK, S3_ERR_NETWORK},
		{{.fault = STUB_CLOSE_IN_BODY}, STUB_OK, S3_ERR_NETWORK},
		{{.fault = STUB_STATUS_EARLY, .status = 200}, STUB_SLOW, S3_ERR_PROTOCOL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stub_rule rules[] = {
			{.method = "GET",
			 .key = "source",
			 .size_bytes = 8 * MIB,
			 .fault = cases[i].source,
			 .delay_ms = 5},
			cases[i].rule,
			END,
		};
		struct fixture f;
		struct s3_request *r;

		rules[1].method = "PUT";
		rules[1].key = "copy";
		fixture_start(&f, rules, 1);
		r = relay(&f, "source", 0, cases[i].source == STUB_OK ? 8 * MIB : 4 * MIB, "copy");
		fixture_run(&f, r);
		if (r->result.error != cases[i].error)
			fail_msg("case %zu: %s", i, r->result.message);
		assert_false(r->result.source_failed);
		assert_true(r->result.finished_us - r->result.started_us < 4000000);
		s3_request_free(r);
		fixture_stop(&f);
	}
}

static void a_stall_is_blamed_on_the_side_that_stalls(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct stub_rule rules[] = {
			{.method = "GET",
			 .key = "source",
			 .size_bytes = 32 * MIB,
			 .fault = i == 0 ? STUB_STALL : STUB_OK},
			{.method = "PUT",
			 .key = "copy",
			 .fault = i == 1 ? STUB_STALL : i == 2 ? STUB_LATE : STUB_OK,
			 .delay_ms = 4000},
			END,
		};
		struct fixture f;
		struct s3_request *r;

		fixture_start(&f, rules, 1);
		r = relay(&f, "source", 0, 32 * MIB, "copy");
		r->stall_timeout_ms = 700;
		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_ERR_TIMEOUT);
		assert_true(r->result.source_failed == (i == 0));
		s3_request_free(r);
		fixture_stop(&f);
	}
}

/* All of it takes longer than a stall may, each wait much less: also the last, for what the kernel has taken from us and
 * the server has not, which may be some MiB. */
static void slow_ends_do_not_break_a_relay(void **state)
{
	const int64_t stall_ms = 3000;

	for (int i = 0; i < 2; i++) {
		struct stub_rule rules[] = {
			{.method = "GET",
			 .key = "source",
			 .size_bytes = 16 * MIB,
			 .fault = i == 0 ? STUB_SLOW : STUB_OK,
			 .delay_ms = 4},
			{.method = "PUT", .key = "copy", .fault = i == 1 ? STUB_SLOW : STUB_OK, .delay_ms = 4},
			END,
		};
		struct fixture f;
		struct s3_request *r;

		fixture_start(&f, rules, 1);
		r = relay(&f, "source", 0, 16 * MIB, "copy");
		r->stall_timeout_ms = stall_ms;
		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_OK);
		assert_true(r->result.finished_us - r->result.started_us > stall_ms * 1000);
		assert_true(upload_is_object(stub_server_upload(f.server, "copy"), 0, 0, 16 * MIB));
		s3_request_free(r);
		fixture_stop(&f);
	}
}

/* What a trickling source has sent is passed on, and not kept until it makes a good piece. */
static void a_trickle_reaches_the_destination(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "source", .size_bytes = 200000, .fault = STUB_STALL}, END};
	struct fixture f;
	struct s3_request *r;

	fixture_start(&f, rules, 1);
	r = relay(&f, "source", 0, 200000, "copy");
	r->stall_timeout_ms = 4000;
	fixture_run(&f, r);
	assert_int_equal(r->result.error, S3_ERR_TIMEOUT);
	usleep(100000);
	/* The last byte that came is kept back. */
	assert_int_equal(stub_server_upload(f.server, "copy")->received_bytes, 99999);
	s3_request_free(r);
	fixture_stop(&f);
}

static void a_kept_connection_that_died_is_replaced_under_a_relay(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "source", .size_bytes = 2 * MIB},
		{.method = "PUT", .key = "copy", .fault = STUB_DIES_ON_REUSE},
		END,
	};
	struct fixture f;

	fixture_start(&f, rules, 1);
	for (int i = 0; i < 3; i++) {
		struct s3_request *r = relay(&f, "source", 0, 600000, "copy");

		fixture_run(&f, r);
		assert_int_equal(r->result.error, S3_OK);
		assert_true(upload_is_object(stub_server_upload(f.server, "copy"), 0, 0, 600000));
		s3_request_free(r);
	}
	assert_true(stub_server_upload(f.server, "copy")->opened > 3);
	fixture_stop(&f);
}

static void cancel_ends_a_relay_at_every_stage(void **state)
{
	static const struct {
		enum stub_fault source, destination;
		int after_ms;
	} cases[] = {
		{STUB_OK, STUB_OK, 0},
		{STUB_STALL, STUB_OK, 200},
		{STUB_OK, STUB_STALL, 200},
		{STUB_SLOW, STUB_SLOW, 200},
		{STUB_OK, STUB_LATE, 300},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stub_rule rules[] = {
			{.method = "GET",
			 .key = "source",
			 .size_bytes = 16 * MIB,
			 .fault = cases[i].source,
			 .delay_ms = 10},
			{.method = "PUT", .key = "copy", .fault = cases[i].destination, .delay_ms = 10},
			END,
		};
		struct fixture f;
		struct s3_request *r, *done;
		int64_t start;

		if (cases[i].destination == STUB_LATE)
			rules[1].delay_ms = 3000;
		fixture_start(&f, rules, 1);
		r = relay(&f, "source", 0, 16 * MIB, "copy");
		f.client->ops->submit(f.client, r);
		usleep((useconds_t)cases[i].after_ms * 1000);
		start = clock_monotonic_ms();
		f.client->ops->cancel(f.client, r);
		done = fixture_wait(&f);
		assert_ptr_equal(done, r);
		assert_true(clock_monotonic_ms() - start < 900);
		assert_int_equal(r->result.error, S3_ERR_CANCELLED);
		assert_false(r->result.source_failed);
		s3_request_free(r);
		fixture_stop(&f);
	}
}

static void fifty_relays_at_once_do_not_mix(void **state)
{
	struct stub_rule rules[] = {
		{.method = "GET", .key = "source", .size_bytes = 8 * MIB},
		{.method = "GET", .key = "bad", .size_bytes = 8 * MIB, .fault = STUB_CLOSE_IN_BODY},
		END,
	};
	struct s3_request *done[8];
	struct fixture f;
	char key[32];
	size_t back = 0, failed = 0;

	fixture_start(&f, rules, 2);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "copy%u", i);
		f.client->ops->submit(f.client, relay(&f, i % 10 == 9 ? "bad" : "source", i,
						      i % 3 ? 5000 * i : 3 * MIB + i, key));
	}
	while (back < 50) {
		size_t n = f.client->ops->poll(f.client, done, 8, 20000);

		assert_true(n > 0);
		for (size_t i = 0; i < n; i++) {
			struct s3_request *r = done[i];
			const struct s3_segment *seg = &r->segments[0];

			if (!strcmp(seg->src_key, "bad")) {
				assert_int_equal(r->result.error, S3_ERR_NETWORK);
				assert_true(r->result.source_failed);
				failed++;
			} else {
				assert_int_equal(r->result.error, S3_OK);
				assert_true(upload_is_object(stub_server_upload(f.server, r->key), 0,
							     seg->src_offset_bytes, seg->length_bytes));
			}
			s3_request_free(r);
		}
		back += n;
	}
	assert_int_equal(failed, 5);
	fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_arrives_whole),
		cmocka_unit_test(segments_of_all_kinds_make_one_body),
		cmocka_unit_test(a_bad_source_never_opens_the_destination),
		cmocka_unit_test(a_source_that_dies_half_way_never_completes_the_put),
		cmocka_unit_test(a_later_segment_that_is_missing_fails_the_put),
		cmocka_unit_test(a_bad_destination_is_told_from_a_bad_source),
		cmocka_unit_test(a_stall_is_blamed_on_the_side_that_stalls),
		cmocka_unit_test(slow_ends_do_not_break_a_relay),
		cmocka_unit_test(a_trickle_reaches_the_destination),
		cmocka_unit_test(a_kept_connection_that_died_is_replaced_under_a_relay),
		cmocka_unit_test(cancel_ends_a_relay_at_every_stage),
		cmocka_unit_test(fifty_relays_at_once_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
