/* SPDX-License-Identifier: GPL-3.0-or-later */
/* POSIX attributes in metadata: what other tools write is read, what is written they can read. */
#include "fs/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define M "x-amz-meta-"

static struct meta_attr decode_pairs(const char *const pairs[][2], size_t n)
{
	struct s3_headers h = {0};
	struct meta_attr a;
	size_t i;

	for (i = 0; i < n; i++)
		assert_int_equal(s3_headers_set(&h, pairs[i][0], pairs[i][1]), 0);
	meta_decode(&h, &a);
	s3_headers_clear(&h);
	return a;
}

static struct meta_attr decode_one(const char *name, const char *value)
{
	const char *const pairs[1][2] = {{name, value}};

	return decode_pairs(pairs, 1);
}

static void modes_are_read_in_octal_and_decimal(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		mode_t mode;
	} cases[] = {
		{"0100644", true, S_IFREG | 0644},  {"33188", true, S_IFREG | 0644},  {"100644", true, S_IFREG | 0644},
		{"33261", true, S_IFREG | 0755},    {"16877", true, S_IFDIR | 0755},  {"040755", true, S_IFDIR | 0755},
		{"40755", true, S_IFDIR | 0755},    {"41777", true, S_IFDIR | 01777}, {"17407", true, S_IFDIR | 01777},
		{"41471", true, S_IFLNK | 0777},    {"120777", true, S_IFLNK | 0777}, {"0120777", true, S_IFLNK | 0777},
		{"0644", true, 0644},               {"755", true, 0755},              {"493", true, 0755},
		{"0104755", true, S_IFREG | 0755},  {"36333", true, S_IFREG | 0755},  /* setuid never */
		{"0102755", true, S_IFREG | 0755},  {"060660", true, 0660},           /* nor a device */
		{"010644", true, 0644},             {"0", true, 0},
		{"", false, 0},                     {"rw-r--r--", false, 0},          {"-1", false, 0},
		{"0100648", false, 0},              {"99999999999999999999", false, 0}, {"33188 ", false, 0},
		{"+33188", false, 0},               {"0x81a4", false, 0},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct meta_attr a = decode_one(M "mode", cases[i].text);

		if (a.has_mode != cases[i].ok || (a.has_mode && a.mode != cases[i].mode))
			fail_msg("mode \"%s\": %d %o", cases[i].text, a.has_mode, a.mode);
	}
}

static void times_are_read_in_every_form(void **state)
{
	static const struct {
		const char *header, *text;
		bool ok;
		int64_t sec;
		long nsec;
	} cases[] = {
		{M "mtime", "1700000000", true, 1700000000, 0},
		{M "mtime", "1700000000.123456789", true, 1700000000, 123456789},
		{M "mtime", "1700000000.000000005", true, 1700000000, 5},
		{M "mtime", "1700000000.5", true, 1700000000, 500000000},
		{M "mtime", "1700000000.1234567891", true, 1700000000, 123456789},
		{M "mtime", "1700000000.", true, 1700000000, 0},
		{M "mtime", "0", true, 0, 0},
		{M "mtime", "-1", true, -1, 0},
		{M "mtime", "-1.5", true, -2, 500000000},
		{M "mtime", "-0.25", true, -1, 750000000},
		{M "mtime", "2023-11-14T22:13:20.25Z", true, 1700000000, 250000000},
		{M "mtime", "253402300799", true, INT64_C(253402300799), 0},
		{M "mtime", "253402300800", false, 0, 0},
		{M "mtime", "-62135596801", false, 0, 0},
		{M "mtime", "99999999999999999999999999", false, 0, 0},
		{M "mtime", "", false, 0, 0},
		{M "mtime", "-", false, 0, 0},
		{M "mtime", ".5", false, 0, 0},
		{M "mtime", "1.7e9", false, 0, 0},
		{M "mtime", "1700000000 ", false, 0, 0},
		{M "mtime", "--5", false, 0, 0},
		{M "file-mtime", "1700000000123456789ns", true, 1700000000, 123456789},
		{M "file-mtime", "-1500000000ns", true, -2, 500000000},
		{M "file-mtime", "1700000000123456789", true, 1700000000, 123456789},
		{M "file-mtime", "99999999999999999999999999ns", false, 0, 0},
		{M "file-mtime", "170ms", false, 0, 0},
		{M "gcsfuse_mtime", "2023-11-14T22:13:20Z", true, 1700000000, 0},
		{M "gcsfuse_mtime", "2023-11-14T23:13:20.5+01:00", true, 1700000000, 500000000},
		{M "gcsfuse_mtime", "yesterday", false, 0, 0},
		{M "mc-attrs", "atime:5#6/mtime:1700000000#123/mode:33188", true, 1700000000, 123},
		{M "mc-attrs", "mtime:-2#500000000", true, -2, 500000000},
		{M "mc-attrs", "mtime:1700000000#1000000000", false, 0, 0},
		{M "mc-attrs", "mtime:1700000000#", false, 0, 0},
		{M "s3cmd-attrs", "mtime:1700000000", true, 1700000000, 0},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct meta_attr a = decode_one(cases[i].header, cases[i].text);

		if (a.has_mtime != cases[i].ok ||
		    (a.has_mtime && (a.mtime.tv_sec != cases[i].sec || a.mtime.tv_nsec != cases[i].nsec)))
			fail_msg("%s \"%s\": %d %lld.%09ld", cases[i].header, cases[i].text, a.has_mtime,
				 (long long)a.mtime.tv_sec, a.mtime.tv_nsec);
	}
}

static void other_tools_attributes_are_read_whole(void **state)
{
	static const char s3cmd[] = "atime:1/ctime:2/gid:100/gname:users/md5:0f/mode:33188/"
				    "mtime:1700000000#5/uid:1000/uname:me";
	static const char *const datasync[][2] = {
		{M "file-permissions", "0100664"},
		{M "file-owner", "1000"},
		{M "file-group", "100"},
		{M "file-mtime", "5ns"},
	};
	struct meta_attr a = decode_one(M "s3cmd-attrs", s3cmd);

	assert_true(a.has_mode && a.has_uid && a.has_gid && a.has_mtime);
	assert_int_equal(a.mode, S_IFREG | 0644);
	assert_int_equal(a.uid, 1000);
	assert_int_equal(a.gid, 100);
	assert_int_equal(a.mtime.tv_nsec, 5);

	a = decode_pairs(datasync, 4);
	assert_true(a.has_mode && a.has_uid && a.has_gid && a.has_mtime);
	assert_int_equal(a.mode, S_IFREG | 0664);
	assert_int_equal(a.uid, 1000);
	assert_int_equal(a.gid, 100);
	assert_int_equal(a.mtime.tv_sec, 0);
}

static void the_plain_headers_come_first_unless_they_make_no_sense(void **state)
{
	static const char *const both[][2] = {{M "mc-attrs", "mode:33188/mtime:5/uid:1/gid:1"},
					      {M "file-owner", "2"},
					      {M "mtime", "7"},
					      {M "uid", "4294967295"},
					      {M "mode", "nonsense"}};
	struct meta_attr a = decode_pairs(both, 5);

	assert_int_equal(a.mtime.tv_sec, 7);
	assert_int_equal(a.uid, 2);
	assert_int_equal(a.gid, 1);
	assert_int_equal(a.mode, S_IFREG | 0644);
}

static void nothing_is_found_in_strange_composites(void **state)
{
	static const char *const texts[] = {"", "/", "////", "mode", "mode:", ":", "modes:33188", "uid:-1", "x:y/:/uid",
					    "gid:99999999999999999999999999999999999999999999999999999999999999999"};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct meta_attr a = decode_one(M "mc-attrs", texts[i]);

		assert_false(a.has_mode || a.has_uid || a.has_gid || a.has_mtime);
	}
}

static void what_is_written_is_what_everybody_reads(void **state)
{
	static const struct {
		struct timespec t;
		const char *text;
	} cases[] = {
		{{1700000000, 0}, "1700000000"},   {{1700000000, 5}, "1700000000.000000005"},
		{{1, 500000000}, "1.500000000"},   {{-2, 500000000}, "-1.500000000"},
		{{-1, 999999999}, "-0.000000001"}, {{-5, 0}, "-5"},
		{{0, 0}, "0"},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct meta_attr a = {.has_mode = true, .has_uid = true, .has_gid = true, .has_mtime = true,
				      .mode = S_IFREG | 0644, .uid = 4294967294u, .gid = 0, .mtime = cases[i].t};
		struct s3_headers h = {0};
		struct meta_attr back;

		assert_int_equal(meta_encode(&h, &a), 0);
		assert_int_equal(h.count, 4);
		assert_string_equal(s3_headers_get(&h, M "mode"), "0100644");
		assert_string_equal(s3_headers_get(&h, M "uid"), "4294967294");
		assert_string_equal(s3_headers_get(&h, M "gid"), "0");
		assert_string_equal(s3_headers_get(&h, M "mtime"), cases[i].text);
		meta_decode(&h, &back);
		assert_true(back.has_mode && back.has_uid && back.has_gid && back.has_mtime);
		assert_int_equal(back.mode, a.mode);
		assert_int_equal(back.uid, a.uid);
		assert_int_equal(back.gid, a.gid);
		assert_int_equal(back.mtime.tv_sec, a.mtime.tv_sec);
		assert_int_equal(back.mtime.tv_nsec, a.mtime.tv_nsec);
		s3_headers_clear(&h);
	}
}

static void writing_replaces_only_what_says_the_same(void **state)
{
	struct meta_attr a = {.has_mtime = true, .has_uid = true, .uid = 7, .mtime = {1700000000, 0}};
	struct s3_headers h = {0};

	s3_headers_set(&h, "content-type", "text/plain");
	s3_headers_set(&h, M "colour", "blue");
	s3_headers_set(&h, M "mode", "33188");
	s3_headers_set(&h, M "file-mtime", "5ns");
	s3_headers_set(&h, M "file-group", "100");
	s3_headers_set(&h, M "gcsfuse_mtime", "2023-11-14T22:13:20Z");
	s3_headers_set(&h, M "s3cmd-attrs", "atime:1/gid:100/md5:0f/mtime:5/uid:1/uname:me");
	s3_headers_set(&h, M "mc-attrs", "mtime:5#0/uid:1");
	assert_int_equal(meta_encode(&h, &a), 0);
	assert_string_equal(s3_headers_get(&h, "content-type"), "text/plain");
	assert_string_equal(s3_headers_get(&h, M "colour"), "blue");
	assert_string_equal(s3_headers_get(&h, M "mode"), "33188");
	assert_string_equal(s3_headers_get(&h, M "file-group"), "100");
	assert_null(s3_headers_get(&h, M "file-mtime"));
	assert_null(s3_headers_get(&h, M "gcsfuse_mtime"));
	assert_string_equal(s3_headers_get(&h, M "s3cmd-attrs"), "atime:1/gid:100/md5:0f");
	assert_null(s3_headers_get(&h, M "mc-attrs"));
	assert_string_equal(s3_headers_get(&h, M "mtime"), "1700000000");
	assert_string_equal(s3_headers_get(&h, M "uid"), "7");
	s3_headers_clear(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_are_read_in_octal_and_decimal),
		cmocka_unit_test(times_are_read_in_every_form),
		cmocka_unit_test(other_tools_attributes_are_read_whole),
		cmocka_unit_test(the_plain_headers_come_first_unless_they_make_no_sense),
		cmocka_unit_test(nothing_is_found_in_strange_composites),
		cmocka_unit_test(what_is_written_is_what_everybody_reads),
		cmocka_unit_test(writing_replaces_only_what_says_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
