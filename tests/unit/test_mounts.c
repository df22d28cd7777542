/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding the mount a path lies in. */
#include "fs/mounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char table[] =
	"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	"30 21 0:40 / /mnt/s3 rw,nosuid,nodev shared:9 master:2 - fuse.s3bridge s3bridge rw,user_id=0\n"
	"31 21 0:41 / /mnt/with\\040space\\011and\\134 rw - fuse.s3bridge a\\040b rw\n"
	"32 30 0:42 / /mnt/s3/photos/inner rw - tmpfs tmpfs rw\n"
	"33 21 0:43 / /stack rw - tmpfs tmpfs rw\n"
	"34 33 0:44 / /stack rw - fuse.s3bridge s3bridge rw\n"
	"35 21 0:45 / /broken rw\n"
	"nonsense\n";

static void longest_mount_point_wins(void **state)
{
	static const struct {
		const char *path, *point, *type;
	} cases[] = {
		{"/", "/", "ext4"},
		{"/etc", "/", "ext4"},
		{"/mnt/s3", "/mnt/s3", MOUNTS_TYPE},
		{"/mnt/s3/photos/a", "/mnt/s3", MOUNTS_TYPE},
		{"/mnt/s3x", "/", "ext4"},
		{"/mnt/s3/photos/inner/b", "/mnt/s3/photos/inner", "tmpfs"},
		{"/mnt/with space\tand\\/x", "/mnt/with space\tand\\", MOUNTS_TYPE},
		{"/stack/a", "/stack", MOUNTS_TYPE},
		{"/broken/a", "/", "ext4"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_MOUNT struct mount m = {0};
		FILE *f = fmemopen((void *)table, strlen(table), "r");

		assert_true(mounts_search(f, cases[i].path, &m));
		assert_string_equal(m.point, cases[i].point);
		assert_string_equal(m.type, cases[i].type);
		fclose(f);
	}
}

static void empty_table_has_no_mount(void **state)
{
	CLEANUP_MOUNT struct mount m = {0};
	FILE *f = fmemopen((void *)"\n", 1, "r");

	assert_false(mounts_search(f, "/", &m));
	assert_null(m.point);
	fclose(f);
}

static void the_real_table_is_read(void **state)
{
	CLEANUP_MOUNT struct mount m = {0};

	assert_true(mounts_at("/", &m));
	assert_string_equal(m.point, "/");
	assert_false(mounts_at("/no/such/mount/point", &m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_mount_point_wins),
		cmocka_unit_test(empty_table_has_no_mount),
		cmocka_unit_test(the_real_table_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
