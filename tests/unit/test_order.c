/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which change waits for which. */
#include "sched/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>

/* KEYS: "w:a r:b" */
static void claim(struct order *o, struct order_change *c, const char *keys)
{
	*c = (struct order_change){0};
	for (; *keys; keys += 3 + (keys[3] == ' '))
		order_claim(o, c, keys + 2, 1, keys[0] == 'w');
}

static unsigned count(const struct order_change *list)
{
	unsigned n = 0;

	for (; list; list = list->next)
		n++;
	return n;
}

static void readers_share_and_writers_do_not(void **state)
{
	static const struct {
		const char *first, *second;
		bool waits;
	} cases[] = {
		{"w:a", "w:b", false}, {"w:a", "w:a", true},      {"w:a", "r:a", true},      {"r:a", "w:a", true},
		{"r:a", "r:a", false}, {"w:x r:a", "w:y r:a", false}, {"w:x r:a", "w:a r:y", true}, {"w:x r:a", "w:y r:x", true},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct order *o = order_new();
		struct order_change a, b;
		struct order_ended e;

		claim(o, &a, cases[i].first);
		claim(o, &b, cases[i].second);
		assert_true(order_ready(&a));
		assert_int_equal(order_ready(&b), !cases[i].waits);
		e = order_end(o, &a, false);
		assert_int_equal(count(e.ready), cases[i].waits);
		assert_null(e.doomed);
		assert_true(order_ready(&b));
		order_end(o, &b, false);
		order_free(o);
	}
}

static void a_change_does_not_wait_for_itself(void **state)
{
	struct order *o = order_new();
	struct order_change a, b;

	claim(o, &a, "w:a r:a r:b r:b w:b");
	assert_true(order_ready(&a));
	assert_int_equal(a.claim_count, 2);
	claim(o, &b, "r:a");
	assert_false(order_ready(&b));
	order_end(o, &a, true);
	assert_true(order_ready(&b));
	order_end(o, &b, false);
	order_free(o);
}

static void readers_behind_a_waiting_writer_wait_too(void **state)
{
	struct order *o = order_new();
	struct order_change r1, w, r2, r3;
	struct order_ended e;

	claim(o, &r1, "r:a");
	claim(o, &w, "w:a");
	claim(o, &r2, "r:a");
	claim(o, &r3, "r:a");
	assert_false(order_ready(&w) || order_ready(&r2) || order_ready(&r3));
	e = order_end(o, &r1, false);
	assert_ptr_equal(e.ready, &w);
	assert_int_equal(count(e.ready), 1);
	e = order_end(o, &w, false);
	assert_ptr_equal(e.ready, &r2);
	assert_ptr_equal(e.ready->next, &r3);
	order_end(o, &r2, false);
	order_end(o, &r3, false);
	order_free(o);
}

static void what_waits_for_two_waits_for_both(void **state)
{
	struct order *o = order_new();
	struct order_change a, b, c;

	claim(o, &a, "w:a");
	claim(o, &b, "w:b");
	claim(o, &c, "w:c r:a r:b");
	assert_int_equal(count(order_end(o, &b, false).ready), 0);
	assert_int_equal(count(order_end(o, &a, false).ready), 1);
	order_end(o, &c, false);
	order_free(o);
}

static void a_failed_reader_dooms_the_writers_behind_it(void **state)
{
	struct order *o = order_new();
	struct order_change before, copy, other, gone, again, reader;
	struct order_ended e;

	claim(o, &before, "w:a");
	claim(o, &copy, "w:x r:a");
	claim(o, &other, "w:y r:a");
	claim(o, &gone, "w:a");
	claim(o, &reader, "w:z r:a");
	claim(o, &again, "w:a");
	e = order_end(o, &before, false);
	assert_int_equal(count(e.ready), 2);
	e = order_end(o, &copy, true);
	assert_int_equal(count(e.ready), 0);
	assert_ptr_equal(e.doomed, &gone);
	assert_ptr_equal(e.doomed->next, &again);
	assert_null(e.doomed->next->next);
	assert_true(gone.doomed && again.doomed && !reader.doomed);
	e = order_end(o, &other, true); /* each is doomed once */
	assert_null(e.doomed);
	assert_null(e.ready); /* what is doomed is not ready */
	e = order_end(o, &gone, true);
	assert_ptr_equal(e.ready, &reader);
	order_end(o, &again, true);
	order_end(o, &reader, false);
	order_free(o);
}

static void a_failed_writer_dooms_nobody(void **state)
{
	struct order *o = order_new();
	struct order_change a, b;
	struct order_ended e;

	claim(o, &a, "w:a r:a");
	claim(o, &b, "w:a");
	e = order_end(o, &a, true);
	assert_null(e.doomed);
	assert_ptr_equal(e.ready, &b);
	order_end(o, &b, false);
	order_free(o);
}

static void one_that_leaves_while_it_waits_lets_the_others_pass(void **state)
{
	struct order *o = order_new();
	struct order_change r, w, r2;
	struct order_ended e;

	claim(o, &r, "r:a");
	claim(o, &w, "w:a");
	claim(o, &r2, "r:a");
	e = order_end(o, &w, true);
	assert_ptr_equal(e.ready, &r2);
	assert_null(e.doomed);
	order_end(o, &r2, false);
	order_end(o, &r, false);
	order_free(o);
}

/* Random changes against the rule of sched.h, taken literally. */
static void it_agrees_with_the_rule(void **state)
{
	enum { CHANGES = 400, KEYS = 6 };
	static struct order_change c[CHANGES];
	static bool writes[CHANGES][KEYS], reads[CHANGES][KEYS], over[CHANGES];
	struct order *o = order_new();
	uint64_t random = 5;
	int i, j, k, left = CHANGES;

	for (i = 0; i < CHANGES; i++) {
		c[i] = (struct order_change){0};
		for (k = 0; k < KEYS; k++) {
			char key = (char)('a' + k);

			random = random * 6364136223846793005u + 1442695040888963407u;
			writes[i][k] = (random >> 40) % 8 == 0 || k == i % KEYS;
			reads[i][k] = !writes[i][k] && (random >> 50) % 4 == 0;
			if (writes[i][k] || reads[i][k])
				order_claim(o, &c[i], &key, 1, writes[i][k]);
		}
	}
	while (left > 0) {
		int last_ready = -1;

		for (i = 0; i < CHANGES; i++) {
			bool blocked = false;

			if (over[i])
				continue;
			for (j = 0; j < i && !blocked; j++)
				for (k = 0; k < KEYS && !over[j]; k++)
					blocked |= (writes[i][k] && (writes[j][k] || reads[j][k])) ||
						   (reads[i][k] && writes[j][k]);
			assert_int_equal(order_ready(&c[i]), !blocked);
			random = random * 6364136223846793005u + 1442695040888963407u;
			if (!blocked && (last_ready < 0 || (random >> 40) % 2))
				last_ready = i;
		}
		assert_true(last_ready >= 0);
		order_end(o, &c[last_ready], false);
		over[last_ready] = true;
		left--;
	}
	order_free(o);
}

static void a_hundred_thousand_of_one_key_are_not_quadratic(void **state)
{
	enum { CHANGES = 100000 };
	struct order_change *c = calloc(CHANGES, sizeof(*c));
	struct order *o = order_new();
	clock_t start = clock();
	unsigned i, doomed;

	for (i = 0; i < CHANGES; i++)
		claim(o, &c[i], i % 1000 == 999 ? "w:a" : "r:a");
	for (i = 0; i < CHANGES; i++) {
		assert_true(order_ready(&c[i]));
		order_end(o, &c[i], false);
	}
	for (i = 0; i < CHANGES; i++)
		claim(o, &c[i], i < CHANGES / 2 ? "r:a" : "w:a");
	doomed = count(order_end(o, &c[0], true).doomed);
	assert_int_equal(doomed, CHANGES / 2);
	for (i = CHANGES - 1; i > 0; i--)
		order_end(o, &c[i], i >= CHANGES / 2);
	assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
	order_free(o);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_share_and_writers_do_not),
		cmocka_unit_test(a_change_does_not_wait_for_itself),
		cmocka_unit_test(readers_behind_a_waiting_writer_wait_too),
		cmocka_unit_test(what_waits_for_two_waits_for_both),
		cmocka_unit_test(a_failed_reader_dooms_the_writers_behind_it),
		cmocka_unit_test(a_failed_writer_dooms_nobody),
		cmocka_unit_test(one_that_leaves_while_it_waits_lets_the_others_pass),
		cmocka_unit_test(it_agrees_with_the_rule),
		cmocka_unit_test(a_hundred_thousand_of_one_key_are_not_quadratic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
