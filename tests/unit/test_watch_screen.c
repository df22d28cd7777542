/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The picture that "status --watch" draws. */
#include "fs/watch_screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/watch_text.h"

#define MIB 1048576ll

/* A mount that copies COPIES objects of 100 MiB, DONE MiB of each stored, SECONDS after it began. */
static json_t *status_of(unsigned copies, unsigned done, unsigned seconds)
{
	json_t *list = json_array(), *s;

	for (unsigned i = 0; i < copies && i < 50; i++) {
		char key[32];

		snprintf(key, sizeof(key), "d/object %u", i);
		json_array_append_new(list, json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:i}", "id", (json_int_t)i + 1, "kind",
						      "copy", "class", "low", "state", "sending parts", "bucket", "dst", "key",
						      key, "size_bytes", 100 * MIB, "done_bytes", done * MIB, "age_ms", 4000));
	}
	s = json_pack("{s:i,s:I,s:s,s:s,s:{s:i,s:I,s:i,s:i,s:[]},s:{s:i,s:i,s:I,s:o},s:{s:I}}", "pid", 7, "uptime_ms",
		      seconds * 1000ll, "mountpoint", "/mnt/s3", "writeback", "all", "changes", "pending", (int)copies,
		      "pending_bytes", copies * 100 * MIB, "done", 12, "failed", 0, "failures", "jobs", "running", (int)copies,
		      "waiting", 3, "done_bytes", (long long)copies * done * MIB, "largest", list, "traffic", "copied_bytes",
		      (long long)copies * done * MIB);
	json_object_set_new(s, "memory", json_pack("{s:I,s:I,s:I,s:I}", "limit_bytes", 64 * MIB, "relay_bytes", 16 * MIB,
						   "write_bytes", 16 * MIB, "peak_bytes", 40 * MIB));
	json_object_set_new(s, "queues", json_pack("{s:{s:i,s:i,s:i},s:{s:i,s:i,s:i}}", "high", "queued", 5, "running", 2,
						   "slots", 64, "low", "queued", 20, "running", 12, "slots", 512));
	json_object_set_new(
		s, "engine",
		json_pack("{s:{s:{s:i,s:I,s:I,s:i,s:i}},s:[{s:s,s:s,s:s,s:i,s:i,s:i,s:I,s:I}],s:[s]}", "classes", "low",
			  "workers_planned", 12, "worker_bytes", 5 * MIB / 4, "memory_used_bytes", 15 * MIB, "changes", 4,
			  "p99_ms", 2500, "network", "endpoint", "https://s3.example.com", "direction", "write", "quality",
			  "good", "rtt_us", 62500, "in_flight", 12, "concurrency_limit", 96, "bytes",
			  (long long)copies * done * MIB, "goodput_bytes_per_s", 7 * MIB, "advice",
			  "to https://s3.example.com: 12 of 96 transfers at once (steady), and this goes on for long enough to be "
			  "broken."));
	assert_non_null(s);
	return s;
}

struct picture {
	struct strbuf text;
	unsigned lines, widest;
};

static struct picture draw(json_t *now, json_t *before, json_t *since, unsigned width, unsigned height)
{
	struct watch_screen w = {.now = now, .before = before, .since = since, .width = width, .height = height};
	struct picture p = {.text = STRBUF_INIT};

	watch_screen_draw(&w, &p.text);
	assert_false(p.text.failed);
	for (char *line = p.text.data, *end; (end = strchr(line, '\n')); line = end + 1) {
		unsigned columns;

		*end = '\0';
		columns = watch_columns(line);
		*end = '\n';
		p.lines++;
		p.widest = columns > p.widest ? columns : p.widest;
	}
	return p;
}

static void expect(const struct picture *p, const char *words)
{
	if (!strstr(p->text.data, words)) {
		print_message("%s", p->text.data);
		fail_msg("missing: %s", words);
	}
}

static void it_fits_every_terminal(void **state)
{
	static const unsigned widths[] = {1, 40, 79, 80, 99, 100, 132, 300}, heights[] = {1, 5, 10, 16, 24, 25, 50, 200};
	json_t *now = status_of(200, 40, 10);

	for (size_t w = 0; w < sizeof(widths) / sizeof(*widths); w++)
		for (size_t h = 0; h < sizeof(heights) / sizeof(*heights); h++) {
			struct picture p = draw(now, NULL, NULL, widths[w], heights[h]);

			assert_true(p.lines <= heights[h] && p.lines > 0);
			assert_true(p.widest <= (widths[w] < WATCH_WIDTH_MIN ? WATCH_WIDTH_MIN : widths[w]));
			strbuf_free(&p.text);
		}
	json_decref(now);
}

static void everything_is_there_at_80x24(void **state)
{
	static const char *const words[] = {
		"/mnt/s3  up 0:10  writeback=all\n",
		"Changes   8 not yet stored (800 MiB), 12 done, 0 failed\n",
		"Memory    [##########...........] 32 MiB of 64 MiB, peak 40 MiB\n",
		"high               5        2     64",
		"low               20       12    512  12 workers x 1.2 MiB        15 MiB   2.5 s\n",
		"https://s3.example.com  write good         62.5 ms    12/96       80 MiB/s\n",
		"Copies    8 running, 3 waiting for them\n",
		"  50% [####....]    100 MiB     10 MiB/s     0:05  dst/d/object 0\n",
		"Advice\n  to https://s3.example.com: 12 of 96 transfers at once (steady), and this\n    goes on for",
	};
	json_t *now = status_of(8, 50, 10), *before = status_of(8, 10, 6), *since = status_of(0, 0, 1);
	struct picture p = draw(now, before, since, 80, 24);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		expect(&p, words[i]);
	/* 400 of 800 MiB, 80 MiB a second. */
	expect(&p, "Total     [##########...........] 50% of 800 MiB  80 MiB/s  ETA 0:05\n");
	strbuf_free(&p.text);
	json_decref(now);
	json_decref(before);
	json_decref(since);
}

static void more_copies_than_fit_are_counted(void **state)
{
	json_t *now = status_of(200, 40, 10);
	struct picture p = draw(now, NULL, NULL, 80, 24);
	unsigned shown = 0, more = 0;

	for (const char *s = p.text.data; (s = strstr(s, "dst/d/object")); s++)
		shown++;
	assert_int_equal(sscanf(strstr(p.text.data, "      and "), " and %u more", &more), 1);
	assert_true(shown >= 3);
	assert_int_equal(shown + more, 200);
	strbuf_free(&p.text);

	/* A higher terminal shows more of them. */
	p = draw(now, NULL, NULL, 80, 50);
	expect(&p, "dst/d/object 20");
	strbuf_free(&p.text);
	json_decref(now);
}

static void a_copy_that_is_new_has_the_rate_of_its_life(void **state)
{
	json_t *now = status_of(1, 40, 10), *before = status_of(0, 0, 6);
	struct picture p = draw(now, before, NULL, 80, 24);

	/* 40 MiB in 4 s, 60 are left */
	expect(&p, "    100 MiB     10 MiB/s     0:06  dst/d/object 0");
	strbuf_free(&p.text);
	json_decref(now);
	json_decref(before);
}

static void nothing_moves_so_there_is_no_time_to_come(void **state)
{
	json_t *now = status_of(2, 40, 10), *before = status_of(2, 40, 6);
	struct picture p = draw(now, before, NULL, 80, 24);

	expect(&p, "0 bytes/s  ETA -\n");
	expect(&p, "    100 MiB    0 bytes/s        -  dst/d/object 1");
	strbuf_free(&p.text);
	json_decref(now);
	json_decref(before);
}

static void a_daemon_that_was_started_anew_begins_anew(void **state)
{
	json_t *now = status_of(2, 1, 3), *before = status_of(2, 90, 60);
	struct picture p;

	json_object_set_new(before, "pid", json_integer(6));
	p = draw(now, before, before, 80, 24);
	expect(&p, "7.0 MiB/s\n"); /* the daemon's own figure */
	expect(&p, "0% of 198 MiB");
	strbuf_free(&p.text);
	json_decref(now);
	json_decref(before);
}

static void failures_are_shown_and_cannot_command_the_terminal(void **state)
{
	json_t *now = status_of(30, 40, 10), *changes = json_object_get(now, "changes");
	struct picture p;

	json_object_set_new(changes, "failed", json_integer(9));
	for (unsigned i = 0; i < 9; i++)
		json_array_append_new(json_object_get(changes, "failures"),
				      json_pack("{s:s,s:s}", "path", "/dst/a\x1b[2J\nb", "error", "access denied"));
	p = draw(now, NULL, NULL, 80, 24);
	expect(&p, "Failed    9, the last 2");
	expect(&p, "  /dst/a\\x1b[2J\\x0ab: access denied\n");
	assert_null(strchr(p.text.data, '\x1b'));
	strbuf_free(&p.text);
	json_decref(now);
}

static void busy_ways_are_preferred_when_not_all_fit(void **state)
{
	json_t *now = status_of(30, 40, 10), *paths = json_object_get(json_object_get(now, "engine"), "network");
	struct picture p;

	for (unsigned i = 0; i < 20; i++) {
		char endpoint[32];

		snprintf(endpoint, sizeof(endpoint), "http://idle%u", i);
		json_array_insert_new(paths, 0,
				      json_pack("{s:s,s:s,s:s}", "endpoint", endpoint, "direction", "read", "quality", "good"));
	}
	p = draw(now, NULL, NULL, 80, 24);
	expect(&p, "https://s3.example.com  write good");
	expect(&p, "http://idle19");
	expect(&p, "  and 1");
	strbuf_free(&p.text);
	json_decref(now);
}

static void a_status_without_anything_is_drawn(void **state)
{
	json_t *now = json_object();
	struct picture p = draw(now, now, now, 80, 24);

	expect(&p, "nothing waits to be moved\n");
	strbuf_free(&p.text);
	json_decref(now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_fits_every_terminal),
		cmocka_unit_test(everything_is_there_at_80x24),
		cmocka_unit_test(more_copies_than_fit_are_counted),
		cmocka_unit_test(a_copy_that_is_new_has_the_rate_of_its_life),
		cmocka_unit_test(nothing_moves_so_there_is_no_time_to_come),
		cmocka_unit_test(a_daemon_that_was_started_anew_begins_anew),
		cmocka_unit_test(failures_are_shown_and_cannot_command_the_terminal),
		cmocka_unit_test(busy_ways_are_preferred_when_not_all_fit),
		cmocka_unit_test(a_status_without_anything_is_drawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
