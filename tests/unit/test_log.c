/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines: one write each, whatever is in the message. */
#include "s3/base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct capture {
	int pipe[2];
	char text[8192];
};

static int capture_setup(void **state)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (!c || pipe(c->pipe))
		return -1;
	log_set_fd(c->pipe[1]);
	log_set_level(LOG_LEVEL_INFO);
	*state = c;
	return 0;
}

static int capture_teardown(void **state)
{
	struct capture *c = *state;

	log_set_fd(STDERR_FILENO);
	log_set_level(LOG_LEVEL_WARN);
	close(c->pipe[0]);
	close(c->pipe[1]);
	free(c);
	return 0;
}

/* What has been written since the last time; "" when nothing was. A mark is written behind it, so that this cannot wait
 * for ever. */
static const char *captured(struct capture *c)
{
	ssize_t n;

	assert_int_equal(write(c->pipe[1], "\1", 1), 1);
	n = read(c->pipe[0], c->text, sizeof(c->text) - 1);
	assert_true(n > 0);
	assert_int_equal(c->text[n - 1], 1);
	c->text[n - 1] = '\0';
	return c->text;
}

/* Behind "2024-05-24T12:00:00.123Z ". */
static const char *behind_time(const char *line)
{
	unsigned year, month, day, hour, minute, second, millisecond;
	int len = 0;

	assert_int_equal(sscanf(line, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %n", &year, &month, &day, &hour, &minute, &second,
				&millisecond, &len),
			 7);
	assert_int_equal(len, 25);
	assert_in_range(month, 1, 12);
	return line + len;
}

static void a_line_has_time_level_and_text(void **state)
{
	log_error("part %d of \"%s\" failed", 7, "a/b");
	assert_string_equal(behind_time(captured(*state)), "error: part 7 of \"a/b\" failed\n");
	log_warn("w\n");
	assert_string_equal(behind_time(captured(*state)), "warn: w\n");
}

static void lines_above_the_level_are_dropped(void **state)
{
	log_debug("not this");
	assert_string_equal(captured(*state), "");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("nor this");
	assert_string_equal(captured(*state), "");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_int_equal(log_get_level(), LOG_LEVEL_DEBUG);
	log_debug("but this");
	assert_string_equal(behind_time(captured(*state)), "debug: but this\n");
}

static void control_bytes_cannot_make_a_second_line(void **state)
{
	log_info("%s", "a\nb\x1b[31m\tc\x7f\xc3\xa4");
	assert_string_equal(behind_time(captured(*state)), "info: a\\x0ab\\x1b[31m\\x09c\\x7f\xc3\xa4\n");
}

static void a_long_message_is_cut_and_says_so(void **state)
{
	static const char fill[] = {'x', '\n'};

	for (size_t i = 0; i < sizeof(fill); i++) {
		char *message = malloc(20001);
		const char *line;
		size_t len;

		memset(message, fill[i], 20000);
		message[20000] = '\0';
		log_info("%s", message);
		free(message);
		line = captured(*state);
		len = strlen(line);
		assert_in_range(len, 3000, 4096);
		assert_string_equal(line + len - 4, "...\n");
		assert_ptr_equal(strchr(line, '\n'), line + len - 1);
	}
}

static void errno_is_left_alone(void **state)
{
	errno = ENOTDIR;
	log_info("x");
	assert_int_equal(errno, ENOTDIR);
	log_set_fd(-1);
	log_info("x");
	assert_int_equal(errno, ENOTDIR);
}

static void level_names_are_parsed(void **state)
{
	static const struct {
		const char *name;
		enum log_level level;
	} names[] = {
		{"error", LOG_LEVEL_ERROR},
		{"warn", LOG_LEVEL_WARN},
		{"info", LOG_LEVEL_INFO},
		{"debug", LOG_LEVEL_DEBUG},
	};
	enum log_level level;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(log_level_parse(names[i].name, &level));
		assert_int_equal(level, names[i].level);
	}
	assert_false(log_level_parse("loud", &level));
	assert_false(log_level_parse("", &level));
}

#define test(f) cmocka_unit_test_setup_teardown(f, capture_setup, capture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_line_has_time_level_and_text),
		test(lines_above_the_level_are_dropped),
		test(control_bytes_cannot_make_a_second_line),
		test(a_long_message_is_cut_and_says_so),
		test(errno_is_left_alone),
		cmocka_unit_test(level_names_are_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
