/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tests of s3/request.c. Leaks and double frees are the sanitizers' to find. */
#include "s3/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_operation_has_its_own_name(void **state)
{
	for (int a = 0; a < S3_OP__COUNT; a++) {
		assert_non_null(s3_op_name((enum s3_op)a));
		for (int b = 0; b < a; b++)
			assert_string_not_equal(s3_op_name((enum s3_op)a), s3_op_name((enum s3_op)b));
	}
	assert_string_equal(s3_op_name(S3_OP_UPLOAD_COMPLETE), "CompleteMultipartUpload");
}

static void a_header_set_twice_has_the_second_value(void **state)
{
	struct s3_headers h = {0};

	assert_int_equal(s3_headers_set(&h, "content-type", "text/plain"), 0);
	assert_int_equal(s3_headers_set(&h, "content-type", "image/png"), 0);
	assert_int_equal(h.count, 1);
	assert_string_equal(s3_headers_get(&h, "content-type"), "image/png");
	s3_headers_clear(&h);
}

static void a_header_set_to_null_is_gone_and_the_others_stay(void **state)
{
	struct s3_headers h = {0};
	char name[16];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(s3_headers_set(&h, name, name), 0);
	}
	assert_int_equal(s3_headers_set(&h, "n3", NULL), 0);
	assert_int_equal(s3_headers_set(&h, "never-was", NULL), 0);
	assert_int_equal(h.count, 19);
	assert_null(s3_headers_get(&h, "n3"));
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		if (i != 3)
			assert_string_equal(s3_headers_get(&h, name), name);
	}
	s3_headers_clear(&h);
	assert_int_equal(h.count, 0);
	assert_null(h.items);
}

static void a_copy_of_headers_replaces_and_is_independent(void **state)
{
	struct s3_headers from = {0}, to = {0};

	s3_headers_set(&from, "x-amz-meta-a", "1");
	s3_headers_set(&from, "x-amz-meta-b", "");
	s3_headers_set(&to, "old", "value");
	assert_int_equal(s3_headers_copy(&to, &from), 0);
	s3_headers_clear(&from);
	assert_int_equal(to.count, 2);
	assert_null(s3_headers_get(&to, "old"));
	assert_string_equal(s3_headers_get(&to, "x-amz-meta-a"), "1");
	assert_string_equal(s3_headers_get(&to, "x-amz-meta-b"), "");
	s3_headers_clear(&to);
}

static void a_new_request_is_empty_and_owns_its_key(void **state)
{
	char key[] = "dir/file";
	struct s3_request *r = s3_request_new(S3_OP_GET, NULL, key);

	key[0] = 'X';
	assert_string_equal(r->key, "dir/file");
	assert_int_equal(r->op, S3_OP_GET);
	assert_int_equal(r->result.error, S3_OK);
	assert_int_equal(r->result.retry_after_ms, -1);
	assert_int_equal(s3_request_body_bytes(r), 0);
	s3_request_free(r);
	s3_request_free(NULL);
}

static void fill(struct s3_request *r)
{
	r->prefix = strdup("p");
	r->delimiter = strdup("/");
	r->token = strdup("t");
	r->if_match = strdup("\"e\"");
	r->if_none_match = strdup("*");
	r->segments = calloc(2, sizeof(*r->segments));
	r->segment_count = 2;
	s3_headers_set(&r->headers, "content-type", "text/plain");
	r->src_key = strdup("s");
	r->src_etag = strdup("\"s\"");
	r->upload_id = strdup("u");
	r->parts = calloc(3, sizeof(*r->parts));
	r->part_count = 3;
	r->keys = calloc(2, sizeof(*r->keys));
	r->keys[0] = strdup("k0");
	r->keys[1] = strdup("k1");
	r->key_count = 2;
}

static void fill_result(struct s3_result *res)
{
	res->error = S3_ERR_SERVER;
	res->http_status = 500;
	res->retry_after_ms = 5000;
	strcpy(res->message, "broken");
	s3_headers_set(&res->headers, "content-type", "text/plain");
	res->upload_id = strdup("u");
	res->next_token = strdup("t");
	res->entries = calloc(2, sizeof(*res->entries));
	res->entries[0].key = strdup("a");
	res->entries[1].key = strdup("b");
	res->entries[1].upload_id = strdup("c");
	res->entry_count = 2;
	res->parts = calloc(1, sizeof(*res->parts));
	res->part_count = 1;
	res->wire.line_count = 9;
}

static void rearming_clears_the_result_and_keeps_the_request(void **state)
{
	struct s3_request *r = s3_request_new(S3_OP_PUT, NULL, "k");
	int backend;

	fill(r);
	fill_result(&r->result);
	r->delivered_bytes = 77;
	r->user = &backend;
	r->backend_private = &backend;
	s3_request_rearm(r);
	assert_int_equal(r->result.error, S3_OK);
	assert_int_equal(r->result.http_status, 0);
	assert_int_equal(r->result.retry_after_ms, -1);
	assert_string_equal(r->result.message, "");
	assert_int_equal(r->result.headers.count, 0);
	assert_null(r->result.entries);
	assert_null(r->result.parts);
	assert_null(r->result.next_token);
	assert_int_equal(r->result.wire.line_count, 0);
	assert_int_equal(r->delivered_bytes, 0);
	assert_null(r->backend_private);
	assert_ptr_equal(r->user, &backend);
	assert_string_equal(r->key, "k");
	assert_int_equal(r->segment_count, 2);
	assert_string_equal(s3_headers_get(&r->headers, "content-type"), "text/plain");
	fill_result(&r->result);
	s3_request_free(r);
}

static void the_body_is_the_sum_of_the_segments_and_saturates(void **state)
{
	struct s3_request *r = s3_request_new(S3_OP_PUT, NULL, "k");

	fill(r);
	r->segments[0].length_bytes = (uint64_t)5 << 40;
	r->segments[1].length_bytes = 7;
	assert_true(s3_request_body_bytes(r) == ((uint64_t)5 << 40) + 7);
	r->segments[1].length_bytes = UINT64_MAX;
	assert_true(s3_request_body_bytes(r) == UINT64_MAX);
	s3_request_free(r);
}

static void a_clone_asks_for_the_same_and_owns_what_it_holds(void **state)
{
	_Atomic(struct s3_request *) race = NULL;
	struct s3_request *r = s3_request_new(S3_OP_PUT, NULL, "k"), *c;

	fill(r);
	r->race = &race;
	r->length_bytes = 7;
	r->part_number = 3;
	r->delivered_bytes = 5;
	c = s3_request_clone(r);
	assert_int_equal(c->segment_count, r->segment_count);
	assert_memory_equal(c->segments, r->segments, r->segment_count * sizeof(*r->segments));
	assert_int_equal(s3_request_body_bytes(c), s3_request_body_bytes(r));
	assert_true(s3_request_wins(r) && s3_request_wins(r));
	s3_request_free(r);
	assert_string_equal(c->key, "k");
	assert_string_equal(c->upload_id, "u");
	assert_string_equal(s3_headers_get(&c->headers, "content-type"), "text/plain");
	assert_true(c->length_bytes == 7 && c->part_number == 3 && c->delivered_bytes == 0);
	assert_int_equal(c->result.error, S3_OK);
	assert_false(s3_request_wins(c));
	c->race = NULL;
	assert_true(s3_request_wins(c));
	s3_request_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_has_its_own_name),
		cmocka_unit_test(a_header_set_twice_has_the_second_value),
		cmocka_unit_test(a_header_set_to_null_is_gone_and_the_others_stay),
		cmocka_unit_test(a_copy_of_headers_replaces_and_is_independent),
		cmocka_unit_test(a_new_request_is_empty_and_owns_its_key),
		cmocka_unit_test(rearming_clears_the_result_and_keeps_the_request),
		cmocka_unit_test(a_clone_asks_for_the_same_and_owns_what_it_holds),
		cmocka_unit_test(the_body_is_the_sum_of_the_segments_and_saturates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
