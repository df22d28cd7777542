/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The control directory over a file system that is only pretended. */
#include "fs/control.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "fs/fs.h"
#include "fs/report_data.h"
#include "fs/status.h"
#include "s3/base/cleanup.h"

/* ------------------------------------------------------------------------------------------ the pretended fs */

static struct {
	bool at_once;    /* fs_wait ends during the call */
	bool too_late;   /* fs_wait_cancel comes too late */
	fs_wait_fn done; /* of the wait that runs */
	void *arg;
	char path[64];
	unsigned cancels;
	unsigned failures;
	bool holds_jobs; /* sched_jobs answers only when asked again */
	sched_job_fn job;
	void *job_arg;
} fake;

static const struct config_bucket fake_bucket = {
	.name = (char *)"photos",
	.bucket = (char *)"b",
	.prefix = (char *)"",
	.secret_access_key = (char *)"HIDDEN",
};
static const struct config fake_config = {
	.buckets = (struct config_bucket *)&fake_bucket,
	.bucket_count = 1,
	.mountpoint = (char *)"/mnt/s3",
};

uint64_t fs_wait(struct fs *fs, const char *path, fs_wait_fn done, void *arg)
{
	snprintf(fake.path, sizeof(fake.path), "%s", path);
	if (fake.at_once) {
		done(arg);
		return 7;
	}
	fake.done = done;
	fake.arg = arg;
	return 7;
}

bool fs_wait_cancel(struct fs *fs, uint64_t id)
{
	assert_int_equal(id, 7);
	fake.cancels++;
	return !fake.too_late;
}

void fs_pending(struct fs *fs, const char *path, struct fs_pending *out)
{
	*out = (struct fs_pending){.changes = 3, .bytes = 300};
}

unsigned fs_failures(struct fs *fs, const char *path, fs_failure_fn call, void *arg)
{
	for (unsigned i = 0; i < fake.failures; i++)
		call(arg, "/photos/\xff", "access denied");
	return fake.failures;
}

void fs_stats(struct fs *fs, struct fs_stats *out)
{
	*out = (struct fs_stats){.nodes = 12};
}

const struct config *fs_config(const struct fs *fs)
{
	return &fake_config;
}

char *report_data_json(struct fs *fs, size_t *len)
{
	char *text = strdup("{\"samples\": {}}");

	*len = strlen(text);
	return text;
}

struct sched *fs_sched(const struct fs *fs)
{
	return NULL;
}

void sched_engine_stats(struct sched *sched, struct sched_engine_stats *out)
{
	memset(out, 0, sizeof(*out));
	for (int i = 0; i < SCHED_PROFILES; i++)
		out->profiles[i].name = "any";
	out->priority_queues = true;
	out->path_count = 1;
	snprintf(out->paths[0].endpoint, sizeof(out->paths[0].endpoint), "http://there");
	out->paths[0].phase = "growing";
}

void sched_engine_advice(const struct sched_engine_stats *es, sched_advice_fn line, void *arg)
{
	line(arg, "all is well");
}

const char *sched_direction_name(enum sched_direction d)
{
	return "read";
}

const char *sched_band_name(enum sched_band b)
{
	return "good";
}

static void tell_jobs(void)
{
	const struct sched_job_info info = {
		.id = 3, .kind = "copy", .state = "sending parts", .bucket = "photos", .key = "a\nb", .size_bytes = 8, .done_bytes = 2,
	};

	fake.job(fake.job_arg, &info);
	fake.job(fake.job_arg, NULL);
}

void sched_jobs(struct sched *s, sched_job_fn call, void *arg)
{
	fake.job = call;
	fake.job_arg = arg;
	if (!fake.holds_jobs)
		tell_jobs();
}

void sched_stats(struct sched *s, struct sched_stats *out)
{
	*out = (struct sched_stats){.jobs_done = 5, .requests = {[S3_OP_LIST] = 9}};
}

struct sched_memory *sched_memory_of(struct sched *s)
{
	return NULL;
}

void sched_memory_stats(struct sched_memory *m, struct sched_memory_stats *out)
{
	*out = (struct sched_memory_stats){.limit_bytes = 64 << 20};
}

const char *sched_class_name(enum sched_class c)
{
	static const char *const names[] = {"interactive", "high", "medium", "low"};

	return names[c];
}

const char *s3_op_name(enum s3_op op)
{
	return op == S3_OP_LIST ? "ListObjectsV2" : "other";
}

const char *writeback_name(enum writeback w)
{
	return "none";
}

/* ------------------------------------------------------------------------------------------------- the reader */

struct reader {
	unsigned replies;
	int err;
	char *data;
	size_t len;
};

static void replied(void *arg, int err, const void *data, size_t len)
{
	struct reader *r = arg;

	r->replies++;
	r->err = err;
	r->len = len;
	free(r->data);
	r->data = malloc(len + 1);
	if (len)
		memcpy(r->data, data, len);
	r->data[len] = '\0';
}

static int index_of(const char *name)
{
	for (int i = 0; control_names[i]; i++)
		if (strcmp(control_names[i], name) == 0)
			return i;
	fail_msg("no file %s", name);
	return -1;
}

static void opened(void *arg, struct control_file *f)
{
	struct control_file **out = arg;

	assert_null(*out);
	assert_non_null(f);
	*out = f;
}

static struct control_file *open_file(const char *name)
{
	struct control_file *f = NULL;

	control_open(NULL, index_of(name), opened, &f);
	assert_non_null(f);
	return f;
}

static struct control_file *open_control(void)
{
	return open_file("control");
}

static void tell(struct control_file *f, const char *line)
{
	assert_int_equal(control_write(f, line, strlen(line)), strlen(line));
}

static int set_up(void **state)
{
	memset(&fake, 0, sizeof(fake));
	*state = calloc(1, sizeof(struct reader));
	return 0;
}

static int tear_down(void **state)
{
	struct reader *r = *state;

	free(r->data);
	free(r);
	return 0;
}

/* ----------------------------------------------------------------------------------------------------- tests */

static void status_is_json_without_secrets(void **state)
{
	struct reader *r = *state;
	struct control_file *f = open_file("status.json");
	json_t *o;

	fake.failures = 1;
	control_read(f, 0, 1 << 20, replied, r);
	assert_int_equal(r->replies, 1);
	assert_int_equal(r->err, 0);
	assert_null(strstr(r->data, "HIDDEN"));
	o = json_loads(r->data, 0, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "mountpoint")), "/mnt/s3");
	assert_int_equal(json_array_size(json_object_get(o, "buckets")), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "changes"), "pending")), 3);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "requests"), "ListObjectsV2")), 9);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "memory"), "limit_bytes")), 64 << 20);
	assert_true(json_is_object(json_object_get(json_object_get(o, "queues"), "interactive")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "jobs"), "done_bytes")), 2);
	json_decref(o);
	control_close(f);
}

static void report_is_made_at_open(void **state)
{
	struct reader *r = *state;
	struct control_file *f = open_file("report.json");

	control_read(f, 0, 1 << 20, replied, r);
	assert_int_equal(r->err, 0);
	assert_string_equal(r->data, "{\"samples\": {}}");
	assert_int_equal(control_write(f, "wait /", 6), -EACCES);
	control_close(f);
}

static void status_is_read_in_slices(void **state)
{
	struct reader *r = *state;
	struct control_file *f = open_file("status.json");
	CLEANUP_FREE char *whole = NULL;
	size_t len;

	control_read(f, 0, 1 << 20, replied, r);
	whole = strdup(r->data);
	len = r->len;
	control_read(f, 10, 5, replied, r);
	assert_int_equal(r->len, 5);
	assert_memory_equal(r->data, whole + 10, 5);
	control_read(f, len - 2, 100, replied, r);
	assert_int_equal(r->len, 2);
	control_read(f, len, 100, replied, r);
	assert_int_equal(r->len, 0);
	control_read(f, UINT64_MAX, 100, replied, r);
	assert_int_equal(r->len, 0);
	control_close(f);
}

static void each_file_has_its_text(void **state)
{
	static const struct {
		const char *name, *words;
	} cases[] = {
		{"metrics", "\ns3bridge_jobs_done_total 5\n"},
		{"jobs", "3 copy interactive sending-parts 2/8 25.0% 0.0s 0 photos/a\\x0ab\n"},
		{"advice", "all is well\n"},
	};
	struct reader *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct control_file *f = open_file(cases[i].name);

		assert_false(control_is_writable(index_of(cases[i].name)));
		control_read(f, 0, 1 << 20, replied, r);
		assert_int_equal(r->err, 0);
		assert_non_null(strstr(r->data, cases[i].words));
		control_close(f);
	}
}

static void open_waits_for_the_list_of_changes(void **state)
{
	struct control_file *f = NULL;

	fake.holds_jobs = true;
	control_open(NULL, index_of("jobs"), opened, &f);
	assert_null(f);
	tell_jobs();
	assert_non_null(f);
	control_close(f);
}

static void size_is_that_of_the_file_or_of_the_last_open(void **state)
{
	struct reader *r = *state;
	struct control_file *first = open_file("status.json"), *second;
	struct control_size size;

	control_read(first, 0, 1 << 20, replied, r);
	control_size(NULL, index_of("status.json"), &size);
	assert_int_equal(size.bytes, r->len);
	assert_true(size.made.tv_sec > 0);
	fake.failures = 1;
	second = open_file("status.json");
	control_size(first, index_of("status.json"), &size);
	assert_int_equal(size.bytes, r->len);
	control_size(NULL, index_of("status.json"), &size);
	assert_true(size.bytes > r->len);
	control_close(first);
	control_close(second);
}

static void read_waits_for_the_end_of_the_wait(void **state)
{
	struct reader *r = *state;
	struct control_file *f = open_control();
	json_t *o, *failures;

	tell(f, "wait /photos/a b\n");
	assert_string_equal(fake.path, "/photos/a b");
	control_read(f, 0, 4096, replied, r);
	assert_int_equal(r->replies, 0);
	fake.failures = 2;
	fake.done(fake.arg);
	assert_int_equal(r->replies, 1);
	o = json_loads(r->data, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(o, "failed")), 2);
	failures = json_object_get(o, "failures");
	assert_int_equal(json_array_size(failures), 2);
	/* A name that is no UTF-8 does not break the answer. */
	assert_string_equal(json_string_value(json_object_get(json_array_get(failures, 0), "path")), "/photos/\\xff");
	json_decref(o);
	control_close(f);
	assert_int_equal(fake.cancels, 0);
}

static void wait_may_end_during_the_write(void **state)
{
	struct reader *r = *state;
	struct control_file *f = open_control();

	fake.at_once = true;
	tell(f, "wait /");
	control_read(f, 0, 4096, replied, r);
	assert_int_equal(r->replies, 1);
	assert_int_equal(r->err, 0);
	control_close(f);
	assert_int_equal(fake.cancels, 0);
}

static void failures_are_listed_up_to_a_bound_and_counted_beyond(void **state)
{
	struct reader *r = *state;
	struct control_file *f = open_control();
	json_t *o;

	fake.at_once = true;
	fake.failures = STATUS_FAILURES_MAX + 5;
	tell(f, "wait /");
	control_read(f, 0, 1 << 24, replied, r);
	o = json_loads(r->data, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(o, "failed")), STATUS_FAILURES_MAX + 5);
	assert_int_equal(json_array_size(json_object_get(o, "failures")), STATUS_FAILURES_MAX);
	json_decref(o);
	control_close(f);
}

static void interrupted_read_can_be_repeated(void **state)
{
	struct reader *r = *state;
	struct control_file *f = open_control();

	tell(f, "wait /\n");
	control_read(f, 0, 4096, replied, r);
	control_interrupt(f, &fake); /* somebody else's */
	assert_int_equal(r->replies, 0);
	control_interrupt(f, r);
	assert_int_equal(r->replies, 1);
	assert_int_equal(r->err, EINTR);
	control_interrupt(f, r);
	assert_int_equal(r->replies, 1);
	control_read(f, 0, 4096, replied, r);
	assert_int_equal(r->replies, 1);
	fake.done(fake.arg);
	assert_int_equal(r->replies, 2);
	assert_int_equal(r->err, 0);
	control_close(f);
}

static void second_reader_is_told_to_go(void **state)
{
	struct reader *r = *state, other = {0};
	struct control_file *f = open_control();

	tell(f, "wait /\n");
	control_read(f, 0, 4096, replied, r);
	control_read(f, 0, 4096, replied, &other);
	assert_int_equal(other.err, EBUSY);
	assert_int_equal(r->replies, 0);
	fake.done(fake.arg);
	assert_int_equal(r->replies, 1);
	free(other.data);
	control_close(f);
}

static void closing_cancels_the_wait(void **state)
{
	struct control_file *f = open_control();

	tell(f, "wait /\n");
	control_close(f);
	assert_int_equal(fake.cancels, 1);
}

static void wait_that_ends_while_closing_finds_its_file(void **state)
{
	struct control_file *f = open_control();

	fake.too_late = true;
	tell(f, "wait /\n");
	control_close(f);
	fake.done(fake.arg); /* the address sanitizer would see a freed file */
}

static void without_a_command_the_file_is_empty(void **state)
{
	struct reader *r = *state;
	struct control_file *f = open_control();

	control_read(f, 0, 4096, replied, r);
	assert_int_equal(r->replies, 1);
	assert_int_equal(r->err, 0);
	assert_int_equal(r->len, 0);
	control_close(f);
}

static void bad_commands_are_refused(void **state)
{
	static const struct {
		const char *line;
		size_t len;
		int ret;
	} cases[] = {
		{"", 0, -EINVAL},
		{"\n", 1, -EINVAL},
		{"wait", 4, -EINVAL},
		{"wait \n", 6, -EINVAL},
		{"wait relative", 13, -EINVAL},
		{"format /", 8, -EINVAL},
		{"wait /a\0b", 9, -EINVAL},
	};
	struct control_file *f = open_control(), *status = open_file("status.json");
	CLEANUP_FREE char *huge = malloc(100000);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(control_write(f, cases[i].line, cases[i].len), cases[i].ret);
	memset(huge, 'a', 100000);
	memcpy(huge, "wait /", 6);
	assert_int_equal(control_write(f, huge, 100000), -E2BIG);
	assert_int_equal(control_write(status, "wait /", 6), -EACCES);
	tell(f, "wait /");
	assert_int_equal(control_write(f, "wait /", 6), -EBUSY);
	control_close(f);
	control_close(status);
	assert_true(control_is_writable(index_of("control")));
	assert_false(control_is_writable(index_of("status.json")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status_is_json_without_secrets),
		TEST(report_is_made_at_open),
		TEST(status_is_read_in_slices),
		TEST(each_file_has_its_text),
		TEST(open_waits_for_the_list_of_changes),
		TEST(size_is_that_of_the_file_or_of_the_last_open),
		TEST(read_waits_for_the_end_of_the_wait),
		TEST(wait_may_end_during_the_write),
		TEST(failures_are_listed_up_to_a_bound_and_counted_beyond),
		TEST(interrupted_read_can_be_repeated),
		TEST(second_reader_is_told_to_go),
		TEST(closing_cancels_the_wait),
		TEST(wait_that_ends_while_closing_finds_its_file),
		TEST(without_a_command_the_file_is_empty),
		TEST(bad_commands_are_refused),
	};

	status_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
