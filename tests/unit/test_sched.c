/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scheduler on the fake S3: commits, deletes, requests, order, cancellation. */
#include "tests/unit/sched_fixture.h"

/* -------------------------------------------------------------------------------------------- how a commit goes */

static void a_small_relay_is_one_put_with_the_headers(void **state)
{
	struct fixture fx;
	struct outcome o = {0};
	struct s3_headers h = {0};
	struct fake_object *src, *dst;
	struct sched_extent e;

	fixture_open(&fx, NULL);
	src = fake_put(fx.s3, &fx.a, "src", 7, 300000);
	s3_headers_set(&h, "content-type", "text/plain");
	e = copy_of(src, 0, 300000);
	commit_extents(&fx, &fx.far, "dst", &h, &e, 1, NULL, &o);
	s3_headers_clear(&h);
	run(&fx);
	assert_ok(&o);
	assert_pattern(&fx, &fx.far, "dst", 7, 0, 300000);
	dst = fake_find(fx.s3, &fx.far, "dst");
	assert_string_equal(o.result.etag, dst->etag);
	assert_int_equal(o.result.size_bytes, 300000);
	assert_true(o.result.last_modified.tv_sec > 0);
	assert_string_equal(s3_headers_get(&dst->headers, "content-type"), "text/plain");
	assert_int_equal(fx.s3->requests[S3_OP_PUT], 1);
	assert_int_equal(stats_of(&fx).copied_bytes, 300000);
	assert_int_equal(stats_of(&fx).jobs_done, 1);
	fixture_close(&fx);
}

static void an_empty_commit_is_one_empty_put(void **state)
{
	struct fixture fx;
	struct outcome o[2] = {{0}};
	struct sched_extent none = zeros(0);

	fixture_open(&fx, NULL);
	commit_extents(&fx, &fx.a, "empty", NULL, NULL, 0, NULL, &o[0]);
	commit_extents(&fx, &fx.a, "empty2", NULL, &none, 1, NULL, &o[1]);
	run(&fx);
	assert_ok(&o[0]);
	assert_ok(&o[1]);
	assert_pattern(&fx, &fx.a, "empty", 0, 0, 0);
	assert_pattern(&fx, &fx.a, "empty2", 0, 0, 0);
	assert_int_equal(fx.s3->requests[S3_OP_PUT], 2);
	fixture_close(&fx);
}

static void a_whole_copy_in_one_account_is_one_copy_object(void **state)
{
	struct fixture fx;
	struct outcome o = {0};
	struct s3_headers h = {0};
	struct fake_object *src;
	struct sched_extent e[2];

	fixture_open(&fx, NULL);
	src = fake_put(fx.s3, &fx.a, "src", 7, 200 * MIB);
	s3_headers_set(&src->headers, "x-amz-meta-old", "1");
	s3_headers_set(&h, "x-amz-meta-new", "2");
	e[0] = copy_of(src, 0, 150 * MIB); /* a long copy arrives in several calls */
	e[1] = copy_of(src, 150 * MIB, 50 * MIB);
	commit_extents(&fx, &fx.b, "dst", &h, e, 2, NULL, &o);
	s3_headers_clear(&h);
	run(&fx);
	assert_ok(&o);
	assert_pattern(&fx, &fx.b, "dst", 7, 0, 200 * MIB);
	assert_int_equal(fx.s3->requests[S3_OP_COPY], 1);
	assert_int_equal(fx.s3->requests[S3_OP_PUT] + fx.s3->requests[S3_OP_UPLOAD_PART], 0);
	assert_non_null(s3_headers_get(&fake_find(fx.s3, &fx.b, "dst")->headers, "x-amz-meta-new"));
	assert_null(s3_headers_get(&fake_find(fx.s3, &fx.b, "dst")->headers, "x-amz-meta-old"));
	assert_int_equal(stats_of(&fx).server_copied_bytes, 200 * MIB);
	fixture_close(&fx);
}

static void a_server_that_will_not_copy_is_helped_by_a_relay(void **state)
{
	static const struct {
		enum s3_error error;
		uint64_t size;
	} cases[] = {
		{S3_ERR_ACCESS, 1000}, {S3_ERR_UNSUPPORTED, 1000}, {S3_ERR_ACCESS, 30 * MIB}, {S3_ERR_UNSUPPORTED, GIB},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fx;
		struct outcome o = {0};

		fixture_open(&fx, NULL);
		fx.b.copy_error = cases[i].error;
		commit_copy_of(&fx, &fx.b, "dst", fake_put(fx.s3, &fx.a, "src", 7, cases[i].size), &o);
		run(&fx);
		assert_ok(&o);
		assert_pattern(&fx, &fx.b, "dst", 7, 0, cases[i].size);
		assert_int_equal(stats_of(&fx).copied_bytes, cases[i].size);
		assert_int_equal(stats_of(&fx).server_copied_bytes, 0);
		assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_ABORT], 0);
		fixture_close(&fx);
	}
}

static void a_large_relay_sends_parts_side_by_side(void **state)
{
	struct sched_config config = {.chunk_workers = 8};
	struct fixture fx;
	struct outcome o = {0};

	fixture_open(&fx, &config);
	commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, 3 * GIB + 12345), &o);
	run(&fx);
	assert_ok(&o);
	assert_pattern(&fx, &fx.far, "dst", 7, 0, 3 * GIB + 12345);
	assert_int_equal(fx.s3->in_flight_op_max[S3_OP_UPLOAD_PART], 8);
	assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_PART], 97);
	assert_int_equal(fake_upload_count(fx.s3, false), 0);
	assert_non_null(strstr(o.result.etag, "-97\""));
	fixture_close(&fx);
}

static void a_huge_copy_in_one_account_is_made_of_part_copies(void **state)
{
	struct fixture fx;
	struct outcome o = {0};

	fixture_open(&fx, NULL);
	commit_copy_of(&fx, &fx.b, "dst", fake_put(fx.s3, &fx.a, "src", 7, 20 * GIB), &o);
	run(&fx);
	assert_ok(&o);
	assert_pattern(&fx, &fx.b, "dst", 7, 0, 20 * GIB);
	assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_PART_COPY], 160);
	assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_PART], 0);
	assert_int_equal(stats_of(&fx).copied_bytes, 0);
	fixture_close(&fx);
}

static void an_append_copies_the_old_bytes_and_sends_the_new(void **state)
{
	struct fixture fx;
	struct outcome o = {0};
	struct fake_object *old;
	struct fake_content expected = {0};

	fixture_open(&fx, NULL);
	old = fake_put(fx.s3, &fx.a, "log", 7, GIB);
	COMMIT(&fx, &fx.a, "log", &o, copy_of(old, 0, GIB), data_of(9, 5000), zeros(20));
	run(&fx);
	assert_ok(&o);
	content_add_pattern(&expected, 7, 0, GIB);
	content_add_pattern(&expected, 9, 0, 5000);
	content_add_pattern(&expected, 0, 0, 20);
	assert_true(content_equal(&fake_find(fx.s3, &fx.a, "log")->content, &expected));
	content_clear(&expected);
	assert_int_equal(stats_of(&fx).uploaded_bytes, 5020);
	assert_int_equal(stats_of(&fx).server_copied_bytes, GIB);
	fixture_close(&fx);
}

static void a_change_in_the_middle_makes_no_short_parts(void **state)
{
	struct fixture fx;
	struct outcome o = {0};
	struct fake_object *old;
	struct fake_content expected = {0};

	fixture_open(&fx, NULL);
	old = fake_put(fx.s3, &fx.a, "db", 7, GIB);
	COMMIT(&fx, &fx.a, "db", &o, copy_of(old, 0, 100 * MIB), data_of(9, 4096),
	       copy_of(old, 100 * MIB + 4096, GIB - 100 * MIB - 4096));
	run(&fx);
	assert_ok(&o); /* the fake refuses parts below 5 MiB */
	content_add_pattern(&expected, 7, 0, 100 * MIB);
	content_add_pattern(&expected, 9, 0, 4096);
	content_add_pattern(&expected, 7, 100 * MIB + 4096, GIB - 100 * MIB - 4096);
	assert_true(content_equal(&fake_find(fx.s3, &fx.a, "db")->content, &expected));
	content_clear(&expected);
	assert_int_equal(stats_of(&fx).copied_bytes, 5 * MIB - 4096);
	fixture_close(&fx);
}

static void extents_beyond_their_source_are_refused(void **state)
{
	struct fixture fx;
	struct outcome o[2] = {{0}};
	struct fake_object *src;

	fixture_open(&fx, NULL);
	src = fake_put(fx.s3, &fx.a, "src", 7, 100);
	COMMIT(&fx, &fx.b, "dst", &o[0], copy_of(src, 50, 51));
	COMMIT(&fx, &fx.b, "dst", &o[1], part_extent(1, 6 * MIB));
	run(&fx);
	assert_failed(&o[0], S3_ERR_INVALID);
	assert_failed(&o[1], S3_ERR_INVALID);
	assert_null(fake_find(fx.s3, &fx.b, "dst"));
	fixture_close(&fx);
}

/* --------------------------------------------------------------------------------------------------- failures */

static void change_source(struct fake_s3 *f, struct s3_request *r, void *arg)
{
	struct s3_bucket *b = arg;

	if (r->op != S3_OP_DELETE && strcmp(r->key, "src") != 0 && fake_find(f, b, "src")->content.runs[0].seed == 7)
		fake_put(f, b, "src", 8, fake_find(f, b, "src")->content.size_bytes);
}

static void a_source_that_changes_fails_the_copy_and_is_named(void **state)
{
	static const struct {
		bool far;
		uint64_t size;
	} cases[] = {{true, 1000}, {false, 1000}, {true, GIB}, {false, GIB}};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fx;
		struct outcome o = {0};
		struct s3_bucket *to;

		fixture_open(&fx, NULL);
		to = cases[i].far ? &fx.far : &fx.b;
		fake_put(fx.s3, to, "dst", 99, 10);
		fx.s3->before = change_source;
		fx.s3->before_arg = &fx.a;
		commit_copy_of(&fx, to, "dst", fake_put(fx.s3, &fx.a, "src", 7, cases[i].size), &o);
		run(&fx);
		assert_failed(&o, S3_ERR_PRECONDITION);
		assert_non_null(strstr(o.result.message, "a/src changed"));
		assert_pattern(&fx, to, "dst", 99, 0, 10);
		assert_int_equal(fake_upload_count(fx.s3, false), 0);
		assert_int_equal(stats_of(&fx).retries, 0);
		fixture_close(&fx);
	}
}

static void what_may_pass_is_tried_again(void **state)
{
	enum s3_error e;

	for (e = S3_ERR_CANCELLED + 1; e < S3_ERR__COUNT; e++) {
		bool again = s3_error_is_retryable(e) || e == S3_ERR_CONFLICT;
		struct fixture fx;
		struct outcome o = {0};

		fixture_open(&fx, NULL);
		fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_PUT, .error = e, .count = 3});
		commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, 1000), &o);
		run(&fx);
		if (again)
			assert_ok(&o);
		else
			assert_failed(&o, e);
		assert_int_equal(stats_of(&fx).retries, again ? 3 : 0);
		assert_int_equal(stats_of(&fx).throttled, e == S3_ERR_THROTTLED ? 3 : 0);
		fixture_close(&fx);
	}
}

static void retries_end_and_retry_after_is_honoured(void **state)
{
	struct sched_config config = {.retry_max = 2};
	struct fixture fx;
	struct outcome o = {0};
	int64_t start_us;

	fixture_open(&fx, &config);
	fake_plan_fault(fx.s3, (struct fake_fault){
				       .op = S3_OP_UPLOAD_PART, .error = S3_ERR_THROTTLED, .count = 1000, .retry_after_ms = 7000});
	start_us = fx.s3->now_us;
	commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, 30 * MIB), &o);
	run(&fx);
	assert_failed(&o, S3_ERR_THROTTLED);
	assert_true(fx.s3->now_us - start_us >= 14000000);
	assert_true(fx.s3->now_us - start_us < 30000000);
	assert_null(fake_find(fx.s3, &fx.far, "dst"));
	assert_int_equal(fake_upload_count(fx.s3, false), 0);
	fixture_close(&fx);
}

static void a_completion_whose_answer_was_lost_is_found_by_looking(void **state)
{
	struct fixture fx;
	struct outcome o = {0};

	fixture_open(&fx, NULL);
	fake_plan_fault(fx.s3, (struct fake_fault){
				       .op = S3_OP_UPLOAD_COMPLETE, .error = S3_ERR_NETWORK, .applied = true, .count = 1});
	commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, 30 * MIB), &o);
	run(&fx);
	assert_ok(&o);
	assert_int_equal(fx.s3->requests[S3_OP_HEAD], 1);
	assert_string_equal(o.result.etag, fake_find(fx.s3, &fx.far, "dst")->etag);
	assert_pattern(&fx, &fx.far, "dst", 7, 0, 30 * MIB);
	fixture_close(&fx);
}

static void an_upload_that_vanishes_is_sent_again_once(void **state)
{
	static const enum s3_op ops[] = {S3_OP_UPLOAD_PART, S3_OP_UPLOAD_COMPLETE};
	size_t i;

	for (i = 0; i < 2; i++) {
		struct fixture fx;
		struct outcome o[2] = {{0}};

		fixture_open(&fx, NULL);
		fake_plan_fault(fx.s3, (struct fake_fault){.op = ops[i], .error = S3_ERR_NO_UPLOAD, .skip = 0, .count = 1});
		commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, 60 * MIB), &o[0]);
		run(&fx);
		assert_ok(&o[0]);
		assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_CREATE], 2);
		assert_int_equal(fake_upload_count(fx.s3, false), 0);

		fx.s3->faults[0].count = 1000;
		commit_copy_of(&fx, &fx.far, "dst2", fake_put(fx.s3, &fx.a, "src", 7, 60 * MIB), &o[1]);
		run(&fx);
		assert_failed(&o[1], S3_ERR_NO_UPLOAD);
		assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_CREATE], 4);
		assert_int_equal(fake_upload_count(fx.s3, false), 0);
		fixture_close(&fx);
	}
}

static void an_upload_that_cannot_be_created_fails_once(void **state)
{
	struct fixture fx;
	struct outcome o = {0};

	fixture_open(&fx, NULL);
	fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_UPLOAD_CREATE, .error = S3_ERR_ACCESS, .count = 1});
	commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, GIB), &o);
	run(&fx);
	assert_failed(&o, S3_ERR_ACCESS);
	assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_PART], 0);
	fixture_close(&fx);
}

static void an_abort_that_fails_is_repeated_behind_the_answer(void **state)
{
	struct fixture fx;
	struct outcome o = {0};

	fixture_open(&fx, NULL);
	fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_UPLOAD_PART, .error = S3_ERR_ACCESS, .count = 1});
	fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_UPLOAD_ABORT, .error = S3_ERR_SERVER, .count = 3});
	commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, GIB), &o);
	while (o.calls == 0)
		sched_step(fx.s, 1000);
	assert_failed(&o, S3_ERR_ACCESS);
	assert_int_equal(fake_upload_count(fx.s3, false), 1);
	run(&fx);
	assert_int_equal(fake_upload_count(fx.s3, false), 0);
	fixture_close(&fx);
}

/* ------------------------------------------------------------------------------------------------------ order */

static void a_delete_waits_for_the_copy_that_reads(void **state)
{
	struct fixture fx;
	struct outcome copy[2] = {{0}}, gone = {0};
	struct fake_object *src;

	fixture_open(&fx, NULL);
	src = fake_put(fx.s3, &fx.a, "src", 7, 500 * MIB);
	commit_copy_of(&fx, &fx.far, "dst", src, &copy[0]);
	commit_copy_of(&fx, &fx.far, "dst2", src, &copy[1]);
	sched_delete(fx.s, &fx.a, "src", record, &gone);
	run_for(&fx, 100);
	assert_int_equal(stats_of(&fx).jobs_waiting, 1);
	assert_int_equal(stats_of(&fx).jobs_active, 3);
	run(&fx);
	assert_ok(&copy[0]);
	assert_ok(&copy[1]);
	assert_ok(&gone);
	assert_int_equal(gone.order, 3);
	assert_null(fake_find(fx.s3, &fx.a, "src"));
	assert_pattern(&fx, &fx.far, "dst", 7, 0, 500 * MIB);
	assert_int_equal(stats_of(&fx).jobs_waiting, 0);
	fixture_close(&fx);
}

static void a_delete_behind_a_failed_copy_is_cancelled(void **state)
{
	struct fixture fx;
	struct outcome copy = {0}, gone = {0}, over = {0}, again = {0};
	struct fake_object *src;

	fixture_open(&fx, NULL);
	src = fake_put(fx.s3, &fx.a, "src", 7, 1000);
	fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_PUT, .key = "dst", .error = S3_ERR_ACCESS, .count = 1});
	commit_copy_of(&fx, &fx.far, "dst", src, &copy);
	sched_delete(fx.s, &fx.a, "src", record, &gone);
	COMMIT(&fx, &fx.a, "src", &over, data_of(3, 10));
	run(&fx);
	assert_failed(&copy, S3_ERR_ACCESS);
	assert_failed(&gone, S3_ERR_CANCELLED);
	assert_failed(&over, S3_ERR_CANCELLED);
	assert_non_null(strstr(gone.result.message, "a/src"));
	assert_non_null(strstr(gone.result.message, "far/dst"));
	assert_pattern(&fx, &fx.a, "src", 7, 0, 1000);
	sched_delete(fx.s, &fx.a, "src", record, &again); /* who asks after the failure means it */
	run(&fx);
	assert_ok(&again);
	assert_null(fake_find(fx.s3, &fx.a, "src"));
	fixture_close(&fx);
}

static void a_failure_runs_along_a_chain(void **state)
{
	struct fixture fx;
	struct outcome o[4] = {{0}};
	struct fake_object *one, *two;

	fixture_open(&fx, NULL);
	one = fake_put(fx.s3, &fx.a, "one", 1, 1000);
	two = fake_put(fx.s3, &fx.a, "two", 2, 1000);
	fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_PUT, .key = "dst", .error = S3_ERR_ACCESS, .count = 1});
	commit_copy_of(&fx, &fx.far, "dst", one, &o[0]);   /* fails */
	commit_copy_of(&fx, &fx.a, "one", two, &o[1]);     /* would destroy "one" */
	sched_delete(fx.s, &fx.a, "two", record, &o[2]);   /* would destroy what was not copied */
	sched_delete(fx.s, &fx.far, "dst", record, &o[3]); /* only wrote there: nothing is lost */
	run(&fx);
	assert_failed(&o[0], S3_ERR_ACCESS);
	assert_failed(&o[1], S3_ERR_CANCELLED);
	assert_failed(&o[2], S3_ERR_CANCELLED);
	assert_ok(&o[3]);
	assert_pattern(&fx, &fx.a, "one", 1, 0, 1000);
	assert_pattern(&fx, &fx.a, "two", 2, 0, 1000);
	fixture_close(&fx);
}

static void writes_of_one_key_keep_their_order(void **state)
{
	struct fixture fx;
	struct outcome o[50] = {{0}};
	unsigned i;

	fixture_open(&fx, NULL);
	for (i = 0; i < 50; i++) {
		if (i % 7 == 3)
			sched_delete(fx.s, &fx.a, "key", record, &o[i]);
		else
			COMMIT(&fx, &fx.a, "key", &o[i], data_of(i + 1, 100 + i));
	}
	run(&fx);
	for (i = 0; i < 50; i++) {
		assert_ok(&o[i]);
		assert_int_equal(o[i].order, i + 1);
	}
	assert_pattern(&fx, &fx.a, "key", 50, 0, 149);
	assert_int_equal(fx.s3->in_flight_max, 1);
	fixture_close(&fx);
}

static void one_bucket_under_two_names_is_one_place(void **state)
{
	struct fixture fx;
	struct outcome copy = {0}, gone = {0};
	struct s3_bucket alias;

	fixture_open(&fx, NULL);
	alias = fx.a;
	snprintf(alias.label, sizeof(alias.label), "alias");
	commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, 1000), &copy);
	sched_delete(fx.s, &alias, "src", record, &gone);
	run(&fx);
	assert_ok(&copy);
	assert_ok(&gone);
	fixture_close(&fx);
}

/* ------------------------------------------------------------------------------------------------ one request */

struct reader {
	unsigned calls;
	struct s3_request *request;
	unsigned char data[200000];
	size_t bytes;
};

static void take_data(void *arg, const void *data, size_t len)
{
	struct reader *r = arg;

	assert_true(r->bytes + len <= sizeof(r->data));
	memcpy(r->data + r->bytes, data, len);
	r->bytes += len;
}

static void take_request(void *arg, struct s3_request *req)
{
	struct reader *r = arg;

	r->calls++;
	r->request = req;
}

static uint64_t read_range(struct fixture *fx, struct reader *rd, uint64_t offset, uint64_t length)
{
	struct s3_request *r = s3_request_new(S3_OP_GET, &fx->a, "src");

	*rd = (struct reader){0};
	r->offset_bytes = offset;
	r->length_bytes = length;
	r->on_data = take_data;
	r->on_data_arg = rd;
	r->user = rd;
	return sched_request(fx->s, r, SCHED_INTERACTIVE, take_request, rd);
}

static void assert_read(const struct reader *rd, uint64_t offset, uint64_t length)
{
	size_t i;

	assert_int_equal(rd->calls, 1);
	assert_int_equal(rd->request->result.error, S3_OK);
	assert_int_equal(rd->bytes, length);
	assert_int_equal(rd->request->delivered_bytes, length);
	assert_int_equal(rd->request->offset_bytes, offset);
	assert_null(rd->request->if_match);
	assert_ptr_equal(rd->request->user, rd);
	for (i = 0; i < length; i++)
		assert_int_equal(rd->data[i], fake_pattern(7, offset + i));
	s3_request_free(rd->request);
}

static struct reader reader; /* large */

static void a_read_goes_on_behind_what_was_delivered(void **state)
{
	static const struct {
		uint64_t offset, length, after;
		unsigned faults;
	} cases[] = {
		{0, 0, 30000, 3}, {1000, 100000, 40000, 2}, {0, 0, 150000, 1}, {500, 1000, 1000, 1}, {0, 150000, 0, 3},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fx;
		uint64_t length = cases[i].length ? cases[i].length : 150000 - cases[i].offset;

		fixture_open(&fx, NULL);
		fake_put(fx.s3, &fx.a, "src", 7, 150000);
		fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_GET,
							   .error = S3_ERR_NETWORK,
							   .count = cases[i].faults,
							   .after_bytes = cases[i].after});
		read_range(&fx, &reader, cases[i].offset, cases[i].length);
		run(&fx);
		assert_read(&reader, cases[i].offset, length);
		fixture_close(&fx);
	}
}

static void replace_after_fault(struct fake_s3 *f, struct s3_request *r, void *arg)
{
	if (r->op == S3_OP_GET && r->offset_bytes > 0)
		fake_put(f, r->bucket, "src", 8, 150000);
}

static void a_read_never_mixes_two_versions(void **state)
{
	struct fixture fx;

	fixture_open(&fx, NULL);
	fake_put(fx.s3, &fx.a, "src", 7, 150000);
	fx.s3->before = replace_after_fault;
	fake_plan_fault(fx.s3,
			(struct fake_fault){.op = S3_OP_GET, .error = S3_ERR_NETWORK, .count = 1, .after_bytes = 50000});
	read_range(&fx, &reader, 0, 0);
	run(&fx);
	assert_int_equal(reader.calls, 1);
	assert_int_equal(reader.request->result.error, S3_ERR_PRECONDITION);
	assert_int_equal(reader.bytes, 50000);
	s3_request_free(reader.request);
	fixture_close(&fx);
}

static void bytes_that_proved_wrong_are_not_continued(void **state)
{
	struct fixture fx;

	fixture_open(&fx, NULL);
	fake_put(fx.s3, &fx.a, "src", 7, 150000);
	fake_plan_fault(fx.s3,
			(struct fake_fault){.op = S3_OP_GET, .error = S3_ERR_CORRUPT, .count = 1, .after_bytes = 150000});
	read_range(&fx, &reader, 0, 150000);
	run(&fx);
	assert_int_equal(reader.request->result.error, S3_ERR_CORRUPT);
	s3_request_free(reader.request);
	fixture_close(&fx);
}

static void requests_can_be_cancelled_queued_and_running(void **state)
{
	struct sched_config config = {.slots = {[SCHED_INTERACTIVE] = 1}};
	static struct reader r[3];
	struct fixture fx;
	uint64_t id[3];
	unsigned i;

	fixture_open(&fx, &config);
	fake_put(fx.s3, &fx.a, "src", 7, 150000);
	for (i = 0; i < 3; i++)
		id[i] = read_range(&fx, &r[i], 0, 0);
	sched_step(fx.s, 0);
	assert_int_equal(stats_of(&fx).queued[SCHED_INTERACTIVE], 2);
	sched_cancel(fx.s, id[0]);
	sched_cancel(fx.s, id[2]);
	sched_cancel(fx.s, 123456);
	run(&fx);
	assert_read(&r[1], 0, 150000);
	assert_int_equal(r[2].request->result.error, S3_ERR_CANCELLED);
	assert_int_equal(r[0].calls, 1);
	s3_request_free(r[0].request);
	s3_request_free(r[2].request);
	sched_cancel(fx.s, id[1]); /* ended: ignored */
	run(&fx);
	fixture_close(&fx);
}

/* ------------------------------------------------------------------------------------------------ cancellation */

static void a_cancelled_commit_leaves_the_destination_alone(void **state)
{
	static const int64_t moments_ms[] = {0, 1, 10, 30, 50, 100, 200, 400};
	size_t i;

	for (i = 0; i < sizeof(moments_ms) / sizeof(moments_ms[0]); i++) {
		struct fixture fx;
		struct outcome o = {0}, behind = {0};
		uint64_t id;

		fixture_open(&fx, NULL);
		fake_put(fx.s3, &fx.far, "dst", 99, 10);
		id = commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, GIB), &o);
		sched_delete(fx.s, &fx.a, "src", record, &behind);
		if (moments_ms[i])
			run_for(&fx, moments_ms[i]);
		sched_cancel(fx.s, id);
		run(&fx);
		assert_failed(&o, S3_ERR_CANCELLED);
		assert_failed(&behind, S3_ERR_CANCELLED);
		assert_pattern(&fx, &fx.far, "dst", 99, 0, 10);
		assert_non_null(fake_find(fx.s3, &fx.a, "src"));
		assert_int_equal(fake_upload_count(fx.s3, false), 0);
		fixture_close(&fx);
	}
}

static void a_waiting_change_can_be_cancelled(void **state)
{
	struct fixture fx;
	struct outcome o[3] = {{0}};
	uint64_t id;

	fixture_open(&fx, NULL);
	COMMIT(&fx, &fx.a, "key", &o[0], data_of(1, 10));
	id = COMMIT(&fx, &fx.a, "key", &o[1], data_of(2, 10));
	COMMIT(&fx, &fx.a, "key", &o[2], data_of(3, 10));
	sched_step(fx.s, 0);
	sched_cancel(fx.s, id);
	run(&fx);
	assert_ok(&o[0]);
	assert_failed(&o[1], S3_ERR_CANCELLED);
	assert_ok(&o[2]);
	assert_pattern(&fx, &fx.a, "key", 3, 0, 10);
	fixture_close(&fx);
}

static void stopping_ends_everything_and_tells_everybody(void **state)
{
	static struct reader rd;
	struct fixture fx;
	struct outcome o[40] = {{0}}, part = {0};
	struct sched_upload *u;
	struct sched_extent e;
	unsigned i;

	fixture_open(&fx, NULL);
	fake_put(fx.s3, &fx.a, "src", 7, 150000);
	read_range(&fx, &rd, 0, 0);
	for (i = 0; i < 40; i++) {
		char key[32];

		snprintf(key, sizeof(key), "dst%u", i % 20);
		commit_copy_of(&fx, &fx.far, key, fake_put(fx.s3, &fx.a, key, 7, (uint64_t)1000 << i / 2), &o[i]);
	}
	u = sched_upload_open(fx.s, &fx.a, "up", NULL);
	e = zeros(6 * MIB);
	sched_upload_part(fx.s, u, 1, extent_array(&e, 1), 1, record, &part);
	run_for(&fx, 45);
	sched_stop(fx.s);
	for (i = 0; i < 40; i++)
		assert_int_equal(o[i].calls, 1);
	assert_int_equal(rd.calls, 1);
	assert_int_equal(part.calls, 1);
	s3_request_free(rd.request);
	assert_int_equal(fake_upload_count(fx.s3, false), 0);
	sched_upload_abort(fx.s, u); /* the handle was still its caller's */
	fixture_close(&fx);
}

/* --------------------------------------------------------------------------------------------------- streaming */

static void stream(struct fixture *fx, struct sched_upload *u, uint32_t number, uint64_t seed, uint64_t length,
		   struct outcome *o)
{
	size_t count = (length + BLOCK_BYTES - 1) / BLOCK_BYTES, i;
	struct sched_extent *e = calloc(count, sizeof(*e));

	for (i = 0; i < count; i++) {
		uint64_t left = length - i * BLOCK_BYTES;

		if (seed == 0)
			e[i] = zeros(left < BLOCK_BYTES ? left : BLOCK_BYTES);
		else
			e[i] = data_of(seed + i, left < BLOCK_BYTES ? left : BLOCK_BYTES);
	}
	sched_upload_part(fx->s, u, number, e, count, record, o);
}

static void a_streamed_file_is_its_parts_and_the_rest(void **state)
{
	static const struct {
		const char *key;
		const char *header;
		unsigned requests_copy, requests_delete;
	} cases[] = {
		{"dst", "one", 0, 0},    /* as predicted */
		{"dst", "two", 1, 0},    /* other headers: fixed by a copy onto itself */
		{"other", "one", 1, 1},  /* another key: copied there, and the first deleted */
	};
	size_t c;

	for (c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct fixture fx;
		struct outcome p[2] = {{0}}, o = {0};
		struct s3_headers h = {0};
		struct sched_upload *u;
		struct sched_extent e[3];
		struct fake_content expected = {0};
		struct fake_object *dst;

		fixture_open(&fx, NULL);
		s3_headers_set(&h, "x-amz-meta-mtime", "one");
		u = sched_upload_open(fx.s, &fx.a, "dst", &h);
		run(&fx);
		assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_CREATE], 0);
		stream(&fx, u, 1, 0, 5 * MIB, &p[0]);
		stream(&fx, u, 3, 0, 8 * MIB, &p[1]);
		run(&fx);
		assert_ok(&p[0]);
		assert_ok(&p[1]);
		e[0] = part_extent(1, 5 * MIB);
		e[1] = part_extent(3, 8 * MIB);
		e[2] = data_of(9, 1000);
		s3_headers_set(&h, "x-amz-meta-mtime", cases[c].header);
		commit_extents(&fx, &fx.a, cases[c].key, &h, e, 3, u, &o);
		run(&fx);
		assert_ok(&o);
		dst = fake_find(fx.s3, &fx.a, cases[c].key);
		assert_non_null(dst);
		content_add_pattern(&expected, 0, 0, 13 * MIB);
		content_add_pattern(&expected, 9, 0, 1000);
		assert_true(content_equal(&dst->content, &expected));
		content_clear(&expected);
		assert_string_equal(s3_headers_get(&dst->headers, "x-amz-meta-mtime"), cases[c].header);
		assert_string_equal(o.result.etag, dst->etag);
		assert_int_equal(o.result.size_bytes, 13 * MIB + 1000);
		assert_int_equal(fx.s3->requests[S3_OP_COPY], cases[c].requests_copy);
		assert_int_equal(fx.s3->requests[S3_OP_DELETE], cases[c].requests_delete);
		if (strcmp(cases[c].key, "dst") != 0)
			assert_null(fake_find(fx.s3, &fx.a, "dst"));
		s3_headers_clear(&h);
		fixture_close(&fx);
	}
}

static void a_commit_may_be_given_while_parts_are_on_their_way(void **state)
{
	struct sched_config config = {.chunk_workers = 8};
	struct fixture fx;
	struct outcome p[20] = {{0}}, o = {0};
	struct sched_upload *u;
	struct sched_extent e[20];
	unsigned i;

	fixture_open(&fx, &config);
	u = sched_upload_open(fx.s, &fx.a, "dst", NULL);
	for (i = 0; i < 20; i++) {
		stream(&fx, u, i + 1, 0, 5 * MIB, &p[i]);
		e[i] = part_extent(i + 1, 5 * MIB);
	}
	commit_extents(&fx, &fx.a, "dst", NULL, e, 20, u, &o);
	run(&fx);
	for (i = 0; i < 20; i++)
		assert_ok(&p[i]);
	assert_ok(&o);
	assert_pattern(&fx, &fx.a, "dst", 0, 0, 100 * MIB);
	assert_int_equal(fx.s3->in_flight_op_max[S3_OP_UPLOAD_PART], 8);
	fixture_close(&fx);
}

static void a_part_that_failed_fails_the_commit(void **state)
{
	struct fixture fx;
	struct outcome p[2] = {{0}}, o = {0};
	struct sched_upload *u;
	struct sched_extent e[2] = {part_extent(1, 5 * MIB), part_extent(2, 5 * MIB)};

	fixture_open(&fx, NULL);
	fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_UPLOAD_PART, .error = S3_ERR_ACCESS, .skip = 1, .count = 1});
	u = sched_upload_open(fx.s, &fx.a, "dst", NULL);
	stream(&fx, u, 1, 0, 5 * MIB, &p[0]);
	run(&fx);
	stream(&fx, u, 2, 0, 5 * MIB, &p[1]);
	run(&fx);
	assert_ok(&p[0]);
	assert_failed(&p[1], S3_ERR_ACCESS);
	commit_extents(&fx, &fx.a, "dst", NULL, e, 2, u, &o);
	run(&fx);
	assert_failed(&o, S3_ERR_INVALID);
	assert_null(fake_find(fx.s3, &fx.a, "dst"));
	assert_int_equal(fake_upload_count(fx.s3, false), 0);
	fixture_close(&fx);
}

static void parts_in_the_middle_are_refused_with_a_sentence(void **state)
{
	struct fixture fx;
	struct outcome p = {0}, o = {0};
	struct sched_upload *u;
	struct sched_extent e[2];

	fixture_open(&fx, NULL);
	u = sched_upload_open(fx.s, &fx.a, "dst", NULL);
	stream(&fx, u, 1, 0, 5 * MIB, &p);
	run(&fx);
	e[0] = data_of(1, 10);
	e[1] = part_extent(1, 5 * MIB);
	commit_extents(&fx, &fx.a, "dst", NULL, e, 2, u, &o);
	run(&fx);
	assert_failed(&o, S3_ERR_UNSUPPORTED);
	assert_int_equal(fake_upload_count(fx.s3, false), 0);
	fixture_close(&fx);
}

static void an_upload_whose_parts_are_not_used_is_aborted(void **state)
{
	struct fixture fx;
	struct outcome p[2] = {{0}}, o = {0};
	struct sched_upload *u;
	struct sched_extent e;

	fixture_open(&fx, NULL);
	u = sched_upload_open(fx.s, &fx.a, "dst", NULL);
	stream(&fx, u, 1, 0, 5 * MIB, &p[0]);
	run(&fx);
	stream(&fx, u, 2, 0, 5 * MIB, &p[1]);
	e = data_of(1, 10);
	commit_extents(&fx, &fx.a, "dst", NULL, &e, 1, u, &o);
	run(&fx);
	assert_ok(&o);
	assert_int_equal(p[1].calls, 1);
	assert_pattern(&fx, &fx.a, "dst", 1, 0, 10);
	assert_int_equal(fake_upload_count(fx.s3, false), 0);
	fixture_close(&fx);
}

static void an_aborted_upload_cancels_its_parts(void **state)
{
	static const int64_t moments_ms[] = {0, 1, 25, 30, 60, 500};
	size_t m;

	for (m = 0; m < sizeof(moments_ms) / sizeof(moments_ms[0]); m++) {
		struct fixture fx;
		struct outcome p[20] = {{0}};
		struct sched_upload *u;
		unsigned i;

		fixture_open(&fx, NULL);
		u = sched_upload_open(fx.s, &fx.a, "dst", NULL);
		for (i = 0; i < 20; i++)
			stream(&fx, u, i + 1, 0, 5 * MIB, &p[i]);
		if (moments_ms[m])
			run_for(&fx, moments_ms[m]);
		sched_upload_abort(fx.s, u);
		run(&fx);
		for (i = 0; i < 20; i++)
			assert_int_equal(p[i].calls, 1);
		if (moments_ms[m] <= 60)
			assert_int_equal(p[19].result.error, S3_ERR_CANCELLED);
		assert_int_equal(fake_upload_count(fx.s3, false), 0);
		fixture_close(&fx);
	}
}

static void a_handle_that_was_never_used_costs_nothing(void **state)
{
	struct fixture fx;

	fixture_open(&fx, NULL);
	sched_upload_abort(fx.s, sched_upload_open(fx.s, &fx.a, "dst", NULL));
	run(&fx);
	assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_CREATE] + fx.s3->requests[S3_OP_UPLOAD_ABORT], 0);
	fixture_close(&fx);
}

/* ----------------------------------------------------------------------------------------- memory and fairness */

static void small_ones_never_wait_for_large_ones(void **state)
{
	static const uint64_t limits[] = {SCHED_MEMORY_MIN_BYTES, 512 * MIB};
	size_t l;

	for (l = 0; l < 2; l++) {
		struct sched_config config = {.memory_limit_bytes = limits[l]};
		struct fixture fx;
		struct outcome large[20] = {{0}}, small[50] = {{0}};
		struct sched_memory_stats m;
		int64_t start_us;
		unsigned i;
		char key[32];

		fixture_open(&fx, &config);
		for (i = 0; i < 20; i++) {
			snprintf(key, sizeof(key), "large%u", i);
			commit_copy_of(&fx, &fx.far, key, fake_put(fx.s3, &fx.a, key, 7, 2 * GIB), &large[i]);
		}
		run_for(&fx, 1000);
		start_us = fx.s3->now_us;
		for (i = 0; i < 50; i++) {
			snprintf(key, sizeof(key), "small%u", i);
			commit_copy_of(&fx, &fx.far, key, fake_put(fx.s3, &fx.a, key, 7, 4000), &small[i]);
		}
		while (stats_of(&fx).jobs_done < 50 && fx.s3->now_us - start_us < 1000000)
			sched_step(fx.s, 10);
		assert_true(fx.s3->now_us - start_us < 100000);
		for (i = 0; i < 50; i++)
			assert_ok(&small[i]);
		run(&fx);
		for (i = 0; i < 20; i++)
			assert_ok(&large[i]);
		sched_memory_stats(sched_memory_of(fx.s), &m);
		assert_true(m.peak_bytes <= limits[l] / 2);
		fixture_close(&fx);
	}
}

static void the_oldest_large_object_ends_first(void **state)
{
	struct fixture fx;
	struct outcome o[40] = {{0}};
	unsigned i;
	char key[32];

	fixture_open(&fx, NULL);
	for (i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "large%u", i);
		commit_copy_of(&fx, &fx.far, key, fake_put(fx.s3, &fx.a, key, 7, 2 * GIB), &o[i]);
	}
	while (o[0].calls == 0)
		sched_step(fx.s, 1000);
	assert_true(fake_upload_count(fx.s3, false) <= 18); /* not all at once */
	run(&fx);
	for (i = 0; i < 40; i++)
		assert_ok(&o[i]);
	assert_true(o[0].order <= 4); /* of those that run side by side */
	assert_true(o[39].order >= 36);
	fixture_close(&fx);
}

/* ---------------------------------------------------------------------------------------------------- to see */

struct seen {
	unsigned jobs, ends;
	char text[400];
};

static void see(void *arg, const struct sched_job_info *info)
{
	struct seen *s = arg;

	if (!info) {
		s->ends++;
		return;
	}
	s->jobs++;
	snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%s:%s:%s/%s:%llu ", info->kind, info->state,
		 info->bucket, info->key, (unsigned long long)info->size_bytes);
}

static void jobs_can_be_listed(void **state)
{
	struct fixture fx;
	struct outcome o[3] = {{0}};
	struct seen seen = {0};

	fixture_open(&fx, NULL);
	commit_copy_of(&fx, &fx.far, "dst", fake_put(fx.s3, &fx.a, "src", 7, 1000), &o[0]);
	sched_delete(fx.s, &fx.a, "src", record, &o[1]);
	COMMIT(&fx, &fx.a, "new", &o[2], data_of(1, 10));
	sched_step(fx.s, 0);
	sched_jobs(fx.s, see, &seen);
	sched_step(fx.s, 0);
	assert_int_equal(seen.jobs, 3);
	assert_int_equal(seen.ends, 1);
	assert_string_equal(seen.text, "copy:sending:far/dst:1000 delete:waiting:a/src:0 upload:sending:a/new:10 ");
	run(&fx);
	fixture_close(&fx);
}

static void again(void *arg, const struct sched_result *r)
{
	struct fixture *fx = arg;
	static unsigned left = 5;

	assert_int_equal(r->error, S3_OK);
	if (left-- > 0)
		sched_delete(fx->s, &fx->a, "key", again, fx);
}

static void a_callback_may_submit_more(void **state)
{
	struct fixture fx;

	fixture_open(&fx, NULL);
	sched_delete(fx.s, &fx.a, "key", again, &fx);
	run(&fx);
	assert_int_equal(stats_of(&fx).jobs_done, 6);
	fixture_close(&fx);
}

static void count_call(void *arg)
{
	++*(unsigned *)arg;
}

static void a_delay_runs_once_in_time_or_never(void **state)
{
	struct fixture fx;
	unsigned now = 0, later = 0, cancelled = 0, dropped = 0;
	uint64_t id;

	fixture_open(&fx, NULL);
	sched_after(fx.s, 0, count_call, &now);
	sched_after(fx.s, 500, count_call, &later);
	id = sched_after(fx.s, 500, count_call, &cancelled);
	sched_after(fx.s, 1000000, count_call, &dropped);
	run_for(&fx, 400);
	assert_int_equal(now, 1);
	assert_int_equal(later, 0);
	sched_cancel(fx.s, id);
	run_for(&fx, 400);
	assert_int_equal(later, 1);
	sched_stop(fx.s);
	assert_int_equal(now + later, 2);
	assert_int_equal(cancelled + dropped, 0);
	fixture_close(&fx);
}

static void who_waits_for_work_is_told_once_and_only_when_there_is_some(void **state)
{
	struct fixture fx;
	struct outcome o[3] = {{0}};
	unsigned told = 0;

	fixture_open(&fx, NULL);
	sched_on_busy(fx.s, count_call, &told);
	sched_after(fx.s, 100, count_call, &(unsigned){0});
	run_for(&fx, 500);
	assert_int_equal(told, 0);
	COMMIT(&fx, &fx.a, "k0", &o[0], data_of(1, 100));
	run(&fx);
	assert_int_equal(told, 1);
	COMMIT(&fx, &fx.a, "k1", &o[1], data_of(2, 100));
	run(&fx);
	assert_int_equal(told, 1);
	sched_on_busy(fx.s, count_call, &told);
	COMMIT(&fx, &fx.a, "k2", &o[2], data_of(3, 100));
	run(&fx);
	assert_int_equal(told, 2);
	fixture_close(&fx);
}

static void it_runs_on_a_thread_of_its_own(void **state)
{
	struct fixture fx;
	struct outcome o[100] = {{0}};
	unsigned i;

	fixture_open(&fx, NULL);
	fx.s3->threaded = true;
	assert_int_equal(sched_start(fx.s), 0);
	for (i = 0; i < 100; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%u", i);
		COMMIT(&fx, &fx.a, key, &o[i], data_of(i + 1, 100));
	}
	while (stats_of(&fx).jobs_done < 100)
		;
	sched_stop(fx.s);
	for (i = 0; i < 100; i++)
		assert_ok(&o[i]);
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_relay_is_one_put_with_the_headers),
		cmocka_unit_test(an_empty_commit_is_one_empty_put),
		cmocka_unit_test(a_whole_copy_in_one_account_is_one_copy_object),
		cmocka_unit_test(a_server_that_will_not_copy_is_helped_by_a_relay),
		cmocka_unit_test(a_large_relay_sends_parts_side_by_side),
		cmocka_unit_test(a_huge_copy_in_one_account_is_made_of_part_copies),
		cmocka_unit_test(an_append_copies_the_old_bytes_and_sends_the_new),
		cmocka_unit_test(a_change_in_the_middle_makes_no_short_parts),
		cmocka_unit_test(extents_beyond_their_source_are_refused),
		cmocka_unit_test(a_source_that_changes_fails_the_copy_and_is_named),
		cmocka_unit_test(what_may_pass_is_tried_again),
		cmocka_unit_test(retries_end_and_retry_after_is_honoured),
		cmocka_unit_test(a_completion_whose_answer_was_lost_is_found_by_looking),
		cmocka_unit_test(an_upload_that_vanishes_is_sent_again_once),
		cmocka_unit_test(an_upload_that_cannot_be_created_fails_once),
		cmocka_unit_test(an_abort_that_fails_is_repeated_behind_the_answer),
		cmocka_unit_test(a_delete_waits_for_the_copy_that_reads),
		cmocka_unit_test(a_delete_behind_a_failed_copy_is_cancelled),
		cmocka_unit_test(a_failure_runs_along_a_chain),
		cmocka_unit_test(writes_of_one_key_keep_their_order),
		cmocka_unit_test(one_bucket_under_two_names_is_one_place),
		cmocka_unit_test(a_read_goes_on_behind_what_was_delivered),
		cmocka_unit_test(a_read_never_mixes_two_versions),
		cmocka_unit_test(bytes_that_proved_wrong_are_not_continued),
		cmocka_unit_test(requests_can_be_cancelled_queued_and_running),
		cmocka_unit_test(a_cancelled_commit_leaves_the_destination_alone),
		cmocka_unit_test(a_waiting_change_can_be_cancelled),
		cmocka_unit_test(stopping_ends_everything_and_tells_everybody),
		cmocka_unit_test(a_streamed_file_is_its_parts_and_the_rest),
		cmocka_unit_test(a_commit_may_be_given_while_parts_are_on_their_way),
		cmocka_unit_test(a_part_that_failed_fails_the_commit),
		cmocka_unit_test(parts_in_the_middle_are_refused_with_a_sentence),
		cmocka_unit_test(an_upload_whose_parts_are_not_used_is_aborted),
		cmocka_unit_test(an_aborted_upload_cancels_its_parts),
		cmocka_unit_test(a_handle_that_was_never_used_costs_nothing),
		cmocka_unit_test(small_ones_never_wait_for_large_ones),
		cmocka_unit_test(the_oldest_large_object_ends_first),
		cmocka_unit_test(jobs_can_be_listed),
		cmocka_unit_test(a_callback_may_submit_more),
		cmocka_unit_test(a_delay_runs_once_in_time_or_never),
		cmocka_unit_test(who_waits_for_work_is_told_once_and_only_when_there_is_some),
		cmocka_unit_test(it_runs_on_a_thread_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
