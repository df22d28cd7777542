/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What programs do one after the other must not overtake itself on the way to S3: names that are used again, copies whose source goes,
 * directories that are emptied and renamed. All with writeback=all, where nothing waits for S3 by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>

#include <cmocka.h>

#include "fs/content.h"
#include "fs/file.h"
#include "fs/names.h"
#include "tests/unit/fs_rig.h"

/* Every lookup asks S3; a megabyte takes a second. */
static struct rig *slow_rig(void)
{
	struct rig *r = rig_new(WRITEBACK_ALL);

	r->config.metadata_ttl_ms = 0;
	r->fake->bytes_per_second = MIB;
	r->fake->copy_bytes_per_second = MIB;
	return r;
}

static void put(struct rig *r, const char *key, uint64_t seed, uint64_t size)
{
	fake_put(r->fake, &r->s3[SRC], key, seed, size);
}

static void assert_object(struct rig *r, int bucket, const char *key, uint64_t seed, uint64_t size)
{
	struct fake_object *o = fake_find(r->fake, &r->s3[bucket], key);
	struct fake_object *want;

	assert_non_null(o);
	want = fake_put(r->fake, &r->s3[NEAR], "expected", seed, size);
	assert_int_equal(o->content.size_bytes, size);
	for (uint64_t at = 0; at < size; at += size / 7 + 1) {
		unsigned char have, should;

		content_read(&o->content, at, &have, 1);
		content_read(&want->content, at, &should, 1);
		assert_int_equal(have, should);
	}
	fake_remove(r->fake, &r->s3[NEAR], "expected");
}

static void steps(struct rig *r, unsigned ms)
{
	int64_t end = r->fake->now_us + (int64_t)ms * 1000;

	while (r->fake->now_us < end)
		sched_step(r->sched, 10);
}

/* As copy_file, where copy_file_range may have to wait for the commit of what it copies from. */
static void copy_patiently(struct rig *r, const char *from, const char *dir, const char *name)
{
	struct handle *in = open_ok(r, from, O_RDONLY), *out = create_file(r, dir, name);
	struct test_call *t = call_make(r);

	t->c.handle = in;
	t->c.handle2 = out;
	t->c.size = UINT32_MAX;
	fs_copy_range(&t->c);
	call_run(r, t);
	assert_int_equal(t->err, 0);
	call_end(t);
	assert_int_equal(flush(r, out), 0);
	release(r, out);
	release(r, in);
}

static void assert_no_failures(struct rig *r)
{
	settle(r);
	assert_int_equal(fs_failures(r->fs, "/", NULL, NULL), 0);
}

static void deleted_file_does_not_show_beside_the_directory_that_has_its_name(void **state)
{
	struct rig *r = slow_rig();

	(void)state;
	put(r, "f", 1, 5 * MIB);
	assert_int_equal(copy_file(r, "src/f", "dst", "g"), 0);
	assert_int_equal(name_op(r, "src", "f", fs_unlink), 0); /* waits in S3 for the copy */
	assert_int_equal(name_op(r, "src", "f", fs_mkdir), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(lookup_error(r, "src", ".s3%=f"), ENOENT);
		assert_int_equal(lookup_error(r, "src", "f"), 0);
		steps(r, 1000);
	}
	assert_no_failures(r);
	assert_object(r, DST, "g", 1, 5 * MIB);
	assert_null(fake_find(r->fake, &r->s3[SRC], "f"));
	assert_non_null(fake_find(r->fake, &r->s3[SRC], "f/"));
	rig_free(r);
}

struct deletes {
	char keys[8][16];
	size_t count;
};

static void record_deletes(struct fake_s3 *f, struct s3_request *req, void *arg)
{
	struct deletes *d = arg;

	if (req->op == S3_OP_DELETE && d->count < 8)
		strncpy(d->keys[d->count++], req->key, 15);
}

static void directory_goes_after_what_was_renamed_out_of_it(void **state)
{
	struct rig *r = slow_rig();
	struct deletes deletes = {.count = 0};

	(void)state;
	put(r, "d/", 0, 0);
	put(r, "d/x", 1, 5 * MIB);
	r->fake->before = record_deletes;
	r->fake->before_arg = &deletes;
	walk(r, "src/d/x"); /* as the kernel does */
	assert_int_equal(rename_path(r, "src/d", "x", "src", "y"), 0);
	assert_int_equal(name_op(r, "src", "d", fs_rmdir), 0);
	assert_int_equal(lookup_error(r, "src", "d"), ENOENT);
	steps(r, 2000);
	assert_int_equal(lookup_error(r, "src", "d"), ENOENT);
	assert_no_failures(r);
	assert_int_equal(deletes.count, 2);
	assert_string_equal(deletes.keys[0], "d/x");
	assert_string_equal(deletes.keys[1], "d/");
	assert_object(r, SRC, "y", 1, 5 * MIB);
	rig_free(r);
}

static void directory_that_comes_again_keeps_its_marker(void **state)
{
	struct rig *r = slow_rig();

	(void)state;
	put(r, "d/", 0, 0);
	put(r, "d/x", 1, 5 * MIB);
	walk(r, "src/d/x"); /* as the kernel does */
	assert_int_equal(rename_path(r, "src/d", "x", "src", "y"), 0);
	assert_int_equal(name_op(r, "src", "d", fs_rmdir), 0);
	assert_int_equal(name_op(r, "src", "d", fs_mkdir), 0);
	assert_int_equal(lookup_error(r, "src/d", "x"), ENOENT); /* which S3 still has */
	assert_no_failures(r);
	assert_non_null(fake_find(r->fake, &r->s3[SRC], "d/"));
	assert_null(fake_find(r->fake, &r->s3[SRC], "d/x"));
	rig_free(r);
}

static void closing_a_deleted_file_spares_the_new_one_of_that_name(void **state)
{
	struct rig *r = slow_rig();
	struct handle *h;

	(void)state;
	put(r, "d/", 0, 0);
	put(r, "d/x", 1, 1000);
	put(r, "n", 2, 1000);
	h = open_ok(r, "src/d/x", O_RDONLY);
	assert_int_equal(name_op(r, "src/d", "x", fs_unlink), 0);
	assert_int_equal(name_op(r, "src", "d", fs_rmdir), 0);
	assert_int_equal(name_op(r, "src", "d", fs_mkdir), 0);
	assert_int_equal(copy_file(r, "src/n", "src/d", "x"), 0);
	settle(r);
	release(r, h);
	assert_no_failures(r);
	assert_object(r, SRC, "d/x", 2, 1000);
	rig_free(r);
}

static void copy_of_a_copy_survives_a_rename_over_the_first_source(void **state)
{
	struct rig *r = slow_rig();

	(void)state;
	put(r, "a", 1, 5 * MIB);
	put(r, "b", 2, 1000);
	assert_int_equal(copy_file(r, "src/a", "dst", "c"), 0);
	assert_int_equal(rename_path(r, "src", "b", "src", "a"), 0);
	copy_patiently(r, "dst/c", "dst", "e");
	assert_no_failures(r);
	assert_object(r, SRC, "a", 2, 1000);
	assert_object(r, DST, "c", 1, 5 * MIB);
	assert_object(r, DST, "e", 1, 5 * MIB);
	rig_free(r);
}

static void copy_inside_a_directory_that_is_being_renamed_follows_it(void **state)
{
	struct rig *r = slow_rig();
	struct test_call *t = call_make(r);

	(void)state;
	put(r, "d/", 0, 0);
	put(r, "d/x", 1, 5 * MIB);
	put(r, "k", 3, 1000);
	walk(r, "src/d/x");
	t->c.ino = walk(r, "src");
	t->c.ino2 = t->c.ino;
	t->c.name = strdup("d");
	t->c.name2 = strdup("e");
	fs_rename(&t->c);
	steps(r, 1000);
	assert_false(t->finished);
	assert_int_equal(copy_file(r, "src/d/x", "src/d", "w"), 0);
	assert_int_equal(copy_file(r, "src/k", "src/d", "v"), 0); /* cannot start before the directory has arrived... */
	put(r, "o", 4, 2000);
	copy_patiently(r, "src/o", "src", "k"); /* ...so this waits, however long that takes */
	call_run(r, t);
	assert_int_equal(t->err, 0);
	call_end(t);
	assert_no_failures(r);
	assert_object(r, SRC, "e/x", 1, 5 * MIB);
	assert_object(r, SRC, "e/w", 1, 5 * MIB);
	assert_object(r, SRC, "e/v", 3, 1000);
	assert_object(r, SRC, "k", 4, 2000);
	assert_null(fake_find(r->fake, &r->s3[SRC], "d/x"));
	rig_free(r);
}

static void file_copied_back_to_where_it_was_moved_from_stays(void **state)
{
	struct rig *r = slow_rig();

	(void)state;
	put(r, "q", 1, 5 * MIB);
	put(r, "e", 2, 1000);
	assert_int_equal(copy_file(r, "src/q", "dst", "z"), 0);
	assert_int_equal(name_op(r, "src", "q", fs_unlink), 0); /* which takes its time, */
	assert_int_equal(name_op(r, "src", "q", fs_mkdir), 0);
	walk(r, "src/e");
	assert_int_equal(rename_path(r, "src", "e", "src/q", "d"), 0); /* so this cannot start */
	copy_patiently(r, "src/q/d", "src", "e");
	assert_no_failures(r);
	assert_object(r, SRC, "q/d", 2, 1000);
	assert_object(r, SRC, "e", 2, 1000);
	assert_null(fake_find(r->fake, &r->s3[SRC], "q"));
	rig_free(r);
}

static void what_a_moved_file_was_to_replace_goes(void **state)
{
	struct rig *r = slow_rig();
	struct handle *in, *out;

	(void)state;
	put(r, "a", 1, 1000);
	put(r, "n", 2, 2000);
	walk(r, "src/a");
	in = open_ok(r, "src/a", O_RDONLY);
	assert_int_equal(name_op(r, "src", "a", fs_unlink), 0);
	out = create_file(r, "src", "a"); /* over the object that is still open, */
	write_bytes(r, out, 0, "new", 3);
	release(r, in);
	assert_int_equal(rename_path(r, "src", "a", "src", "b"), 0); /* and away from there */
	release(r, out);
	assert_no_failures(r);
	assert_null(fake_find(r->fake, &r->s3[SRC], "a"));
	assert_object_text(r, SRC, "b", "new");
	rig_free(r);
}

static void directory_without_a_marker_outlives_its_last_file_until_rmdir(void **state)
{
	struct rig *r = slow_rig();

	(void)state;
	put(r, "p/d/x", 1, 1000);
	walk(r, "src/p/d/x");
	assert_int_equal(name_op(r, "src/p/d", "x", fs_unlink), 0);
	settle(r);
	assert_int_equal(lookup_error(r, "src/p", "d"), 0);
	assert_int_equal(name_op(r, "src/p", "d", fs_rmdir), 0);
	settle(r);
	assert_int_equal(lookup_error(r, "src/p", "d"), ENOENT);
	assert_int_equal(name_op(r, "src", "p", fs_rmdir), 0);
	rig_free(r);
}

/* S3 has no exchange, and the mount keeps no copies: one of the three fails and is listed. None may be wrong, none may hang. */
static void exchange_by_three_copies_ends_without_wrong_bytes(void **state)
{
	struct rig *r = slow_rig();
	struct fake_object *a;

	(void)state;
	put(r, "a", 1, 1000);
	put(r, "b", 2, 2000);
	assert_int_equal(copy_file(r, "src/a", "src", "t"), 0);
	copy_patiently(r, "src/b", "src", "a");
	copy_patiently(r, "src/t", "src", "b");
	settle(r);
	assert_object(r, SRC, "t", 1, 1000);
	a = fake_find(r->fake, &r->s3[SRC], "a");
	if (fs_failures(r->fs, "/", NULL, NULL) == 0) {
		assert_object(r, SRC, "a", 2, 2000);
		assert_object(r, SRC, "b", 1, 1000);
	} else {
		assert_int_equal(fs_failures(r->fs, "/", NULL, NULL), 1);
		assert_object(r, SRC, "a", a->content.size_bytes == 1000 ? 1 : 2, a->content.size_bytes);
	}
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deleted_file_does_not_show_beside_the_directory_that_has_its_name),
		cmocka_unit_test(directory_goes_after_what_was_renamed_out_of_it),
		cmocka_unit_test(directory_that_comes_again_keeps_its_marker),
		cmocka_unit_test(closing_a_deleted_file_spares_the_new_one_of_that_name),
		cmocka_unit_test(copy_of_a_copy_survives_a_rename_over_the_first_source),
		cmocka_unit_test(copy_inside_a_directory_that_is_being_renamed_follows_it),
		cmocka_unit_test(file_copied_back_to_where_it_was_moved_from_stays),
		cmocka_unit_test(what_a_moved_file_was_to_replace_goes),
		cmocka_unit_test(directory_without_a_marker_outlives_its_last_file_until_rmdir),
		cmocka_unit_test(exchange_by_three_copies_ends_without_wrong_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
