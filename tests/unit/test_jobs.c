/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list of changes as lines and as a summary. */
#include "fs/jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct sched_job_info copy_of(uint64_t id, uint64_t size_bytes)
{
	return (struct sched_job_info){
		.id = id,
		.kind = "copy",
		.state = "sending parts",
		.bucket = "photos",
		.key = "a/b",
		.class = SCHED_LOW,
		.size_bytes = size_bytes,
	};
}

static void a_change_is_a_line(void **state)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	struct sched_job_info info = copy_of(17, 4000);

	info.done_bytes = 1000;
	info.age_ms = 12345;
	info.attempts = 2;
	jobs_add_line(&out, &info);
	assert_string_equal(out.data, "17 copy low sending-parts 1000/4000 25.0% 12.3s 2 photos/a/b\n");
}

static void a_line_stays_a_line(void **state)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	struct sched_job_info info = copy_of(1, 0);

	info.kind = "delete";
	info.bucket = "a\nb";
	info.key = "x\n2 copy \\ \xff";
	jobs_add_line(&out, &info);
	assert_string_equal(out.data, "1 delete low sending-parts 0/0 0.0% 0.0s 0 a\\x0ab/x\\x0a2 copy \\\\ \\xff\n");
}

static void waiting_changes_are_counted_but_not_described(void **state)
{
	struct jobs_summary s = {0};
	struct sched_job_info info = copy_of(1, 100);
	json_t *o;

	info.done_bytes = 40;
	jobs_summary_add(&s, &info);
	info.state = "waiting";
	info.done_bytes = 0;
	jobs_summary_add(&s, &info);
	o = jobs_summary_json(&s);
	assert_int_equal(json_integer_value(json_object_get(o, "running")), 1);
	assert_int_equal(json_integer_value(json_object_get(o, "waiting")), 1);
	assert_int_equal(json_integer_value(json_object_get(o, "size_bytes")), 200);
	assert_int_equal(json_integer_value(json_object_get(o, "done_bytes")), 40);
	assert_int_equal(json_array_size(json_object_get(o, "largest")), 1);
	json_decref(o);
	jobs_summary_clear(&s);
}

static void the_largest_are_described_the_older_first(void **state)
{
	struct jobs_summary s = {0};
	char key[16];

	/* Sizes 1, 2, ... 100, 100, 99, ... 1 */
	for (unsigned i = 1; i <= 200; i++) {
		struct sched_job_info info = copy_of(i, i <= 100 ? i : 201 - i);

		snprintf(key, sizeof(key), "key %u", i); /* the caller's key changes after the call */
		info.key = key;
		jobs_summary_add(&s, &info);
	}
	assert_int_equal(s.running, 200);
	assert_int_equal(s.largest_count, JOBS_LARGEST_MAX);
	for (unsigned i = 0; i < JOBS_LARGEST_MAX; i++)
		assert_int_equal(s.largest[i].size_bytes, 100 - i / 2);
	assert_int_equal(s.largest[0].id, 100);
	assert_string_equal(s.largest[0].key, "key 100");
	assert_int_equal(s.largest[1].id, 101);
	jobs_summary_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_a_line),
		cmocka_unit_test(a_line_stays_a_line),
		cmocka_unit_test(waiting_changes_are_counted_but_not_described),
		cmocka_unit_test(the_largest_are_described_the_older_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
