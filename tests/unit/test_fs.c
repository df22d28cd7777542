/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core of the file system without a kernel: the operations that programs make, on a fake S3 with a virtual clock, and what
 * they cost in requests. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/content.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/lookup.h"
#include "fs/names.h"
#include "fs/readdir.h"
#include "tests/unit/fs_rig.h"

/* ------------------------------------------------------------------------------------------------- lookups */

static void one_listing_answers_for_all_names(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	char name[32];

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "d/f%02d", i);
		fake_put(r->fake, &r->s3[SRC], name, 1, 10);
	}
	walk(r, "src/d/f00");
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "no%02d", i);
		assert_int_equal(lookup_error(r, "src/d", name), ENOENT);
	}
	assert_int_equal(r->fake->requests[S3_OP_LIST], 2); /* of the bucket and of d */
	rig_free(r);
}

static void what_others_change_appears_after_the_ttl(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct handle *h;

	(void)state;
	fake_put(r->fake, &r->s3[SRC], "a", 1, 10);
	walk(r, "src/a");
	fake_put(r->fake, &r->s3[SRC], "b", 1, 10);
	fake_remove(r->fake, &r->s3[SRC], "a");
	assert_int_equal(lookup_error(r, "src", "b"), ENOENT);
	h = create_file(r, "dst", "x"); /* time passes only with requests */
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	r->fake->now_us += 6 * 1000000;
	walk(r, "src/b");
	assert_int_equal(lookup_error(r, "src", "a"), ENOENT);
	rig_free(r);
}

static void a_new_directory_is_known_to_be_empty(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	uint64_t lists;

	(void)state;
	walk(r, "dst");
	assert_int_equal(lookup_error(r, "dst", "new"), ENOENT);
	assert_int_equal(name_op(r, "dst", "new", fs_mkdir), 0);
	lists = r->fake->requests[S3_OP_LIST];
	assert_int_equal(lookup_error(r, "dst/new", "x"), ENOENT);
	assert_int_equal(r->fake->requests[S3_OP_LIST], lists);
	assert_non_null(fake_find(r->fake, &r->s3[DST], "new/"));
	rig_free(r);
}

/* -------------------------------------------------------------------------------------------------- copies */

static void copy_to_another_account_is_one_put(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct fake_object *o, *to;

	(void)state;
	o = fake_put(r->fake, &r->s3[SRC], "a", 7, 100000);
	s3_headers_set(&o->headers, "content-type", "image/jpeg");
	assert_int_equal(copy_file(r, "src/a", "dst", "b"), 0);
	to = fake_find(r->fake, &r->s3[DST], "b");
	assert_non_null(to);
	assert_true(content_equal(&o->content, &to->content));
	assert_string_equal(s3_headers_get(&to->headers, "content-type"), "image/jpeg");
	assert_string_equal(s3_headers_get(&to->headers, "x-amz-meta-mode"), "0100640");
	assert_int_equal(changes_sent(r), 1);
	assert_int_equal(r->fake->requests[S3_OP_PUT], 1);
	rig_free(r);
}

static void copy_inside_an_account_is_one_server_copy(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct fake_object *o;

	(void)state;
	o = fake_put(r->fake, &r->s3[SRC], "a", 7, 100 * MIB);
	assert_int_equal(copy_file(r, "src/a", "near", "b"), 0);
	assert_true(content_equal(&o->content, &fake_find(r->fake, &r->s3[NEAR], "b")->content));
	assert_int_equal(changes_sent(r), 1);
	assert_int_equal(r->fake->requests[S3_OP_COPY], 1);
	rig_free(r);
}

static void changed_source_fails_the_copy_and_spares_the_destination(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct fake_object *old;

	(void)state;
	fake_put(r->fake, &r->s3[SRC], "a", 7, 1000);
	old = fake_put(r->fake, &r->s3[DST], "b", 9, 500);
	walk(r, "src/a");
	walk(r, "dst/b");
	fake_put(r->fake, &r->s3[SRC], "a", 8, 1000); /* within the TTL: only the ETag can tell */
	assert_int_not_equal(copy_file(r, "src/a", "dst", "b"), 0);
	assert_int_equal(fake_find(r->fake, &r->s3[DST], "b")->content.size_bytes, 500);
	assert_ptr_equal(fake_find(r->fake, &r->s3[DST], "b"), old);
	rig_free(r);
}

static void deleting_a_source_waits_for_its_copy(void **state)
{
	struct rig *r = rig_new(WRITEBACK_ALL);
	struct fake_object *to;

	(void)state;
	fake_put(r->fake, &r->s3[SRC], "a", 7, 50 * MIB);
	assert_int_equal(copy_file(r, "src/a", "dst", "b"), 0);
	assert_int_equal(name_op(r, "src", "a", fs_unlink), 0);
	assert_int_equal(lookup_error(r, "src", "a"), ENOENT);
	settle(r);
	to = fake_find(r->fake, &r->s3[DST], "b");
	assert_non_null(to);
	assert_int_equal(to->content.size_bytes, 50 * MIB);
	assert_null(fake_find(r->fake, &r->s3[SRC], "a"));
	rig_free(r);
}

static void failed_copy_keeps_the_source_that_was_to_be_deleted(void **state)
{
	struct rig *r = rig_new(WRITEBACK_ALL);

	(void)state;
	fake_put(r->fake, &r->s3[SRC], "a", 7, 1000);
	fake_plan_fault(r->fake, (struct fake_fault){.op = S3_OP_PUT, .key = "b", .error = S3_ERR_ACCESS, .count = 100});
	assert_int_equal(copy_file(r, "src/a", "dst", "b"), 0);
	assert_int_equal(name_op(r, "src", "a", fs_unlink), 0);
	settle(r);
	assert_non_null(fake_find(r->fake, &r->s3[SRC], "a"));
	assert_null(fake_find(r->fake, &r->s3[DST], "b"));
	assert_int_equal(fs_failures(r->fs, "/", NULL, NULL), 2); /* the copy, and the deletion that did not happen */
	walk(r, "src/a");
	rig_free(r);
}

/* -------------------------------------------------------------------------------------------------- writes */

static void rsync_costs_one_put(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct handle *h;
	struct fake_object *o;

	(void)state;
	assert_int_equal(lookup_error(r, "dst", "f"), ENOENT);
	h = create_file(r, "dst", ".f.AbC123");
	write_bytes(r, h, 0, "hello", 5);
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	assert_int_equal(set_attributes(r, "dst/.f.AbC123", FS_SET_MTIME, 0, 1000000000), 0);
	h = open_ok(r, "dst/.f.AbC123", O_RDONLY);
	assert_int_equal(set_attributes(r, "dst/.f.AbC123", FS_SET_MODE, 0600, 0), 0);
	release(r, h);
	assert_int_equal(rename_path(r, "dst", ".f.AbC123", "dst", "f"), 0);
	settle(r);
	assert_object_text(r, DST, "f", "hello");
	o = fake_find(r->fake, &r->s3[DST], "f");
	assert_string_equal(s3_headers_get(&o->headers, "x-amz-meta-mtime"), "1000000000");
	assert_string_equal(s3_headers_get(&o->headers, "x-amz-meta-mode"), "0100600");
	assert_int_equal(changes_sent(r), 1);
	rig_free(r);
}

static void close_waits_and_reports_with_writeback_none(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct handle *h;

	(void)state;
	h = create_file(r, "dst", "good");
	write_bytes(r, h, 0, "x", 1);
	assert_int_equal(flush(r, h), 0);
	assert_object_text(r, DST, "good", "x");
	release(r, h);

	fake_plan_fault(r->fake, (struct fake_fault){.op = S3_OP_PUT, .key = "bad", .error = S3_ERR_ACCESS, .count = 100});
	h = create_file(r, "dst", "bad");
	write_bytes(r, h, 0, "x", 1);
	assert_int_equal(flush(r, h), EACCES);
	release(r, h);
	assert_int_equal(lookup_error(r, "dst", "bad"), ENOENT);
	assert_int_equal(fs_failures(r->fs, "/", NULL, NULL), 0); /* whoever closed it knows */
	rig_free(r);
}

static void failure_nobody_heard_of_stays_until_dealt_with(void **state)
{
	struct rig *r = rig_new(WRITEBACK_ALL);
	struct handle *h;
	int err;

	(void)state;
	fake_plan_fault(r->fake, (struct fake_fault){.op = S3_OP_PUT, .key = "f", .error = S3_ERR_ACCESS, .count = 1});
	h = create_file(r, "dst", "f");
	write_bytes(r, h, 0, "x", 1);
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	settle(r);
	assert_int_equal(fs_failures(r->fs, "/dst", NULL, NULL), 1);
	assert_null(open_file(r, "dst/f", O_RDONLY, &err));
	assert_int_equal(err, EIO);
	h = open_ok(r, "dst/f", O_WRONLY | O_TRUNC);
	write_bytes(r, h, 0, "again", 5);
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	settle(r);
	assert_object_text(r, DST, "f", "again");
	assert_int_equal(fs_failures(r->fs, "/", NULL, NULL), 0);
	rig_free(r);
}

static void appending_keeps_what_was_there(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct handle *h;

	(void)state;
	h = create_file(r, "dst", "log");
	write_bytes(r, h, 0, "one ", 4);
	assert_int_equal(flush(r, h), 0);
	write_bytes(r, h, 4, "two ", 4);
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	h = open_ok(r, "dst/log", O_WRONLY | O_APPEND);
	write_bytes(r, h, 0, "three", 5);
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	assert_object_text(r, DST, "log", "one two three");
	rig_free(r);
}

static void uncommitted_bytes_can_be_read(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct handle *h;
	char *text;

	(void)state;
	h = create_file(r, "dst", "f");
	write_bytes(r, h, 0, "abc", 3);
	write_bytes(r, h, 5, "f", 1);
	text = read_text(r, h, 100);
	assert_memory_equal(text, "abc\0\0f", 6);
	free(text);
	assert_int_equal(changes_sent(r), 0);
	release(r, h);
	rig_free(r);
}

static void long_stream_goes_up_in_parts_within_its_memory(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct sched_memory_stats ms;
	unsigned char *mib = malloc(MIB);
	struct fake_object *o;
	struct handle *h;
	unsigned char got;

	(void)state;
	h = create_file(r, "dst", "stream");
	for (unsigned i = 0; i < 60; i++) {
		memset(mib, (int)i + 1, MIB);
		write_bytes(r, h, i * MIB, mib, MIB);
	}
	assert_true(r->fake->requests[S3_OP_UPLOAD_PART] > 5);
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	settle(r);
	o = fake_find(r->fake, &r->s3[DST], "stream");
	assert_non_null(o);
	assert_int_equal(o->content.size_bytes, 60 * MIB);
	for (unsigned i = 0; i < 60; i++) {
		content_read(&o->content, i * MIB + 12345, &got, 1);
		assert_int_equal(got, i + 1);
	}
	sched_memory_stats(sched_memory_of(r->sched), &ms);
	assert_true(ms.peak_bytes <= sched_memory_share(sched_memory_of(r->sched), SCHED_MEMORY_PART) +
					     sched_memory_share(sched_memory_of(r->sched), SCHED_MEMORY_WRITE));
	assert_int_equal(ms.used_bytes[SCHED_MEMORY_PART], 0);
	assert_int_equal(ms.used_bytes[SCHED_MEMORY_WRITE], 0);
	assert_int_equal(fake_upload_count(r->fake, false), 0);
	/* One upload, and no copy to mend its metadata afterwards. */
	assert_int_equal(r->fake->requests[S3_OP_UPLOAD_CREATE], 1);
	assert_int_equal(r->fake->requests[S3_OP_COPY], 0);
	free(mib);
	rig_free(r);
}

static void interrupted_close_ends_the_copy(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct handle *in, *out;
	struct test_call *t;

	(void)state;
	fake_put(r->fake, &r->s3[SRC], "a", 7, 500 * MIB);
	r->fake->bytes_per_second = 10 * MIB;
	in = open_ok(r, "src/a", O_RDONLY);
	out = create_file(r, "dst", "b");
	assert_int_equal(copy_range(r, in, out, UINT32_MAX), 0);
	t = flush_start(r, out);
	for (int i = 0; i < 5; i++)
		sched_step(r->sched, 10);
	assert_false(t->finished);
	fs_interrupt(r->fs, t->c.id);
	assert_true(t->finished); /* at once */
	assert_int_equal(t->err, EINTR);
	call_end(t);
	release(r, out);
	release(r, in);
	settle(r);
	assert_null(fake_find(r->fake, &r->s3[DST], "b"));
	assert_int_equal(fake_upload_count(r->fake, false), 0);
	assert_int_equal(fs_failures(r->fs, "/", NULL, NULL), 0);
	rig_free(r);
}

/* --------------------------------------------------------------------------------------------------- names */

static void rename_replaces_and_removes_the_old_name(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct fake_object *o;

	(void)state;
	fake_put(r->fake, &r->s3[SRC], "a", 7, 1000);
	fake_put(r->fake, &r->s3[SRC], "b", 8, 2000);
	walk(r, "src/a");
	walk(r, "src/b");
	assert_int_equal(rename_path(r, "src", "a", "src", "b"), 0);
	assert_int_equal(lookup_error(r, "src", "a"), ENOENT);
	settle(r);
	assert_null(fake_find(r->fake, &r->s3[SRC], "a"));
	o = fake_find(r->fake, &r->s3[SRC], "b");
	assert_int_equal(o->content.size_bytes, 1000);
	assert_int_equal(r->fake->requests[S3_OP_COPY], 1);
	rig_free(r);
}

static void object_follows_a_rename_during_its_commit(void **state)
{
	struct rig *r = rig_new(WRITEBACK_ALL);
	struct handle *h;

	(void)state;
	h = create_file(r, "dst", "one");
	write_bytes(r, h, 0, "text", 4);
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	for (int i = 0; !r->fake->in_flight_op[S3_OP_PUT] && i < 1000; i++)
		sched_step(r->sched, 5);
	assert_int_equal(r->fake->in_flight_op[S3_OP_PUT], 1);
	assert_int_equal(rename_path(r, "dst", "one", "dst", "two"), 0);
	settle(r);
	assert_object_text(r, DST, "two", "text");
	assert_null(fake_find(r->fake, &r->s3[DST], "one"));
	rig_free(r);
}

static void rename_to_another_bucket_is_left_to_mv(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);

	(void)state;
	fake_put(r->fake, &r->s3[SRC], "a", 7, 1000);
	walk(r, "src/a");
	assert_int_equal(rename_path(r, "src", "a", "dst", "a"), EXDEV);
	rig_free(r);
}

static void directory_rename_moves_every_object(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	char key[32];

	(void)state;
	for (int i = 0; i < 150; i++) {
		snprintf(key, sizeof(key), "d/s%d/f%03d", i % 3, i);
		fake_put(r->fake, &r->s3[SRC], key, (uint64_t)i + 1, 100);
	}
	walk(r, "src/d/s0/f000");
	assert_int_equal(rename_path(r, "src", "d", "src", "e"), 0);
	for (int i = 0; i < 150; i++) {
		snprintf(key, sizeof(key), "d/s%d/f%03d", i % 3, i);
		assert_null(fake_find(r->fake, &r->s3[SRC], key));
		key[0] = 'e';
		assert_non_null(fake_find(r->fake, &r->s3[SRC], key));
	}
	walk(r, "src/e/s2/f002");
	assert_int_equal(lookup_error(r, "src", "d"), ENOENT);
	rig_free(r);
}

static void failed_directory_rename_leaves_it_where_it_was(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	char key[32];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "d/f%03d", i);
		fake_put(r->fake, &r->s3[SRC], key, (uint64_t)i + 1, 100);
	}
	walk(r, "src/d/f000");
	fake_plan_fault(r->fake, (struct fake_fault){.op = S3_OP_HEAD, .key = "d/f010", .error = S3_ERR_ACCESS, .count = 100});
	assert_int_not_equal(rename_path(r, "src", "d", "src", "e"), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "d/f%03d", i);
		assert_non_null(fake_find(r->fake, &r->s3[SRC], key));
		key[0] = 'e';
		assert_null(fake_find(r->fake, &r->s3[SRC], key));
	}
	rig_free(r);
}

static void unlinked_file_stays_readable_while_open(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	struct handle *h;
	char *text;

	(void)state;
	h = create_file(r, "dst", "f");
	write_bytes(r, h, 0, "still here", 10);
	assert_int_equal(flush(r, h), 0);
	release(r, h);
	h = open_ok(r, "dst/f", O_RDONLY);
	assert_int_equal(name_op(r, "dst", "f", fs_unlink), 0);
	assert_int_equal(lookup_error(r, "dst", "f"), ENOENT);
	text = read_text(r, h, 100);
	assert_string_equal(text, "still here");
	free(text);
	release(r, h);
	settle(r);
	assert_null(fake_find(r->fake, &r->s3[DST], "f"));
	rig_free(r);
}

static void only_empty_directories_are_removed(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);

	(void)state;
	fake_put(r->fake, &r->s3[SRC], "d/f", 1, 1);
	walk(r, "src/d");
	assert_int_equal(name_op(r, "src", "d", fs_rmdir), ENOTEMPTY);
	walk(r, "src/d/f");
	assert_int_equal(name_op(r, "src/d", "f", fs_unlink), 0);
	assert_int_equal(name_op(r, "src", "d", fs_rmdir), 0);
	assert_int_equal(lookup_error(r, "src", "d"), ENOENT);
	rig_free(r);
}

static void readonly_buckets_refuse_every_change(void **state)
{
	struct rig *r = rig_new(WRITEBACK_NONE);
	int err;

	(void)state;
	r->buckets[SRC].readonly = true;
	fake_put(r->fake, &r->s3[SRC], "a", 1, 1);
	walk(r, "src/a");
	assert_int_equal(name_op(r, "src", "a", fs_unlink), EROFS);
	assert_int_equal(name_op(r, "src", "d", fs_mkdir), EROFS);
	assert_int_equal(set_attributes(r, "src/a", FS_SET_MODE, 0600, 0), EROFS);
	assert_int_equal(rename_path(r, "src", "a", "src", "b"), EROFS);
	open_file(r, "src/a", O_WRONLY, &err);
	assert_int_equal(err, EROFS);
	assert_int_equal(changes_sent(r), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_listing_answers_for_all_names),
		cmocka_unit_test(what_others_change_appears_after_the_ttl),
		cmocka_unit_test(a_new_directory_is_known_to_be_empty),
		cmocka_unit_test(copy_to_another_account_is_one_put),
		cmocka_unit_test(copy_inside_an_account_is_one_server_copy),
		cmocka_unit_test(changed_source_fails_the_copy_and_spares_the_destination),
		cmocka_unit_test(deleting_a_source_waits_for_its_copy),
		cmocka_unit_test(failed_copy_keeps_the_source_that_was_to_be_deleted),
		cmocka_unit_test(rsync_costs_one_put),
		cmocka_unit_test(close_waits_and_reports_with_writeback_none),
		cmocka_unit_test(failure_nobody_heard_of_stays_until_dealt_with),
		cmocka_unit_test(appending_keeps_what_was_there),
		cmocka_unit_test(uncommitted_bytes_can_be_read),
		cmocka_unit_test(long_stream_goes_up_in_parts_within_its_memory),
		cmocka_unit_test(interrupted_close_ends_the_copy),
		cmocka_unit_test(rename_replaces_and_removes_the_old_name),
		cmocka_unit_test(object_follows_a_rename_during_its_commit),
		cmocka_unit_test(rename_to_another_bucket_is_left_to_mv),
		cmocka_unit_test(directory_rename_moves_every_object),
		cmocka_unit_test(failed_directory_rename_leaves_it_where_it_was),
		cmocka_unit_test(unlinked_file_stays_readable_while_open),
		cmocka_unit_test(only_empty_directories_are_removed),
		cmocka_unit_test(readonly_buckets_refuse_every_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
