/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queues, their heap, and admission of relays. */
#include "sched/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched/admit.h"

#define MIB ((uint64_t)1 << 20)

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* ------------------------------------------------------------------------------------------------------- heap */

static void a_heap_gives_the_smallest_and_equals_in_order(void **state)
{
	struct heap h = {0};
	struct heap_node nodes[2000] = {{0}};
	uint64_t random = 1, last_key = 0, last_tie = 0;
	unsigned i, n = 0;

	for (i = 0; i < 2000; i++)
		heap_push(&h, &nodes[i], next_random(&random) % 100);
	for (i = 0; i < 2000; i += 3) {
		heap_remove(&h, &nodes[i]);
		assert_false(heap_contains(&nodes[i]));
	}
	while (heap_first(&h)) {
		struct heap_node *first = heap_first(&h);

		assert_true(first->key > last_key || (first->key == last_key && (n == 0 || first->tie > last_tie)));
		last_key = first->key;
		last_tie = first->tie;
		heap_remove(&h, first);
		n++;
	}
	assert_int_equal(n, 2000 - 667);
	heap_clear(&h);
}

/* ------------------------------------------------------------------------------------------------------ queues */

static const char *const here = "here", *const there = "there";

static void classes_go_by_size(void **state)
{
	struct sched_config own = {.medium_from_bytes = 10, .low_from_bytes = 20}, usual = {0};
	struct queue q;

	queue_init(&q, &usual);
	assert_int_equal(queue_class_of(&q, 0), SCHED_HIGH);
	assert_int_equal(queue_class_of(&q, 999999), SCHED_HIGH);
	assert_int_equal(queue_class_of(&q, 1000000), SCHED_MEDIUM);
	assert_int_equal(queue_class_of(&q, 99999999), SCHED_MEDIUM);
	assert_int_equal(queue_class_of(&q, 100000000), SCHED_LOW);
	assert_int_equal(queue_class_of(&q, UINT64_MAX), SCHED_LOW);
	queue_init(&q, &own);
	assert_int_equal(queue_class_of(&q, 9), SCHED_HIGH);
	assert_int_equal(queue_class_of(&q, 10), SCHED_MEDIUM);
	assert_int_equal(queue_class_of(&q, 20), SCHED_LOW);
	assert_string_equal(sched_class_name(SCHED_INTERACTIVE), "interactive");
}

static struct queue_route route(const void *write, enum queue_need need)
{
	return (struct queue_route){.write = write, .need = need};
}

static void the_least_key_goes_first_within_the_slots(void **state)
{
	struct sched_config config = {.slots = {[SCHED_LOW] = 2}};
	struct queue_item items[4] = {{.lane = NULL}};
	struct queue_item *it;
	struct queue q;

	queue_init(&q, &config);
	queue_push(&q, &items[0], SCHED_LOW, route(here, QUEUE_PLAIN), 7);
	queue_push(&q, &items[1], SCHED_LOW, route(there, QUEUE_PLAIN), 5);
	queue_push(&q, &items[2], SCHED_LOW, route(here, QUEUE_PLAIN), 6);
	queue_push(&q, &items[3], SCHED_HIGH, route(here, QUEUE_PLAIN), 1);
	assert_int_equal(queue_length(&q, SCHED_LOW), 3);
	it = queue_next(&q, SCHED_LOW);
	assert_ptr_equal(it, &items[1]);
	queue_start(&q, it);
	it = queue_next(&q, SCHED_LOW);
	assert_ptr_equal(it, &items[2]);
	queue_start(&q, it);
	assert_null(queue_next(&q, SCHED_LOW)); /* no slot */
	queue_end(&q, &items[1]);
	assert_ptr_equal(queue_next(&q, SCHED_LOW), &items[0]);
	queue_remove(&q, &items[0]);
	assert_null(queue_next(&q, SCHED_LOW));
	queue_remove(&q, &items[3]);
	queue_clear(&q);
}

static void what_cannot_start_does_not_hold_up_what_can(void **state)
{
	struct sched_config config = {0};
	struct queue_item relay = {.lane = NULL}, plain = relay, elsewhere = relay;
	struct queue q;

	queue_init(&q, &config);
	queue_push(&q, &relay, SCHED_LOW, route(here, QUEUE_RELAY), 1);
	queue_push(&q, &plain, SCHED_LOW, route(here, QUEUE_PLAIN), 2);
	queue_push(&q, &elsewhere, SCHED_LOW, route(there, QUEUE_RELAY), 3);
	assert_ptr_equal(queue_next(&q, SCHED_LOW), &relay);
	queue_block(&q, &relay);
	assert_ptr_equal(queue_next(&q, SCHED_LOW), &plain);
	queue_block(&q, &plain);
	assert_ptr_equal(queue_next(&q, SCHED_LOW), &elsewhere);
	queue_block(&q, &elsewhere);
	assert_null(queue_next(&q, SCHED_LOW));
	queue_unblock_all(&q);
	assert_ptr_equal(queue_next(&q, SCHED_LOW), &relay);
	queue_remove(&q, &plain);
	queue_remove(&q, &relay);
	queue_remove(&q, &elsewhere);
	queue_clear(&q);
}

static unsigned start_all(struct queue *q, enum sched_class class)
{
	struct queue_item *it;
	unsigned n = 0;

	while ((it = queue_next(q, class))) {
		queue_start(q, it);
		n++;
	}
	return n;
}

static void a_class_takes_what_others_leave_and_never_less_than_its_own(void **state)
{
	static struct queue_item items[SCHED_CLASS__COUNT][300];
	struct sched_config config = {.no_network_monitor = true};
	struct queue q;
	unsigned c, i;

	memset(items, 0, sizeof(items));
	queue_init(&q, &config);
	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		for (i = 0; i < 300; i++)
			queue_push(&q, &items[c][i], c, route(here, QUEUE_PLAIN), i);
	assert_int_equal(start_all(&q, SCHED_LOW), QUEUE_SLOTS_FIXED); /* all that there are */
	assert_int_equal(start_all(&q, SCHED_HIGH), 24);              /* its own, at once */
	assert_int_equal(start_all(&q, SCHED_MEDIUM), 8);
	assert_int_equal(start_all(&q, SCHED_INTERACTIVE), 256);
	/* What the large ones give back goes to whoever asks first, and that is the small. */
	for (i = 0; i < 60; i++)
		queue_end(&q, &items[SCHED_LOW][i]);
	assert_int_equal(start_all(&q, SCHED_HIGH), 60 - 24 - 8);
	assert_int_equal(start_all(&q, SCHED_LOW), 0);
	for (; i < 75; i++)
		queue_end(&q, &items[SCHED_LOW][i]);
	start_all(&q, SCHED_HIGH);
	assert_int_equal(start_all(&q, SCHED_LOW), 3); /* never below eight */
	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		for (i = 0; i < 300; i++)
			if (heap_contains(&items[c][i].node))
				queue_remove(&q, &items[c][i]);
	queue_clear(&q);
}

static void a_chosen_concurrency_is_kept_by_all_classes_together(void **state)
{
	static struct queue_item items[SCHED_CLASS__COUNT][40];
	struct sched_config configs[] = {{.concurrency = 12}, {.concurrency = 12, .no_priority_queues = true}};
	struct queue q;
	unsigned k, c, i, running;

	for (k = 0; k < 2; k++) {
		queue_init(&q, &configs[k]);
		for (c = SCHED_HIGH; c < SCHED_CLASS__COUNT; c++)
			for (i = 0; i < 40; i++)
				queue_push(&q, &items[c][i], c, route(here, QUEUE_PLAIN), 1);
		running = start_all(&q, SCHED_LOW) + start_all(&q, SCHED_INTERACTIVE);
		assert_int_equal(running, 12);
		/* Who comes later has the share that is its own, and no more. */
		assert_int_equal(start_all(&q, SCHED_HIGH), k == 0 ? 6 : 0);
		assert_int_equal(start_all(&q, SCHED_MEDIUM), k == 0 ? 3 : 0);
		for (c = SCHED_HIGH; c < SCHED_CLASS__COUNT; c++)
			for (i = 0; i < 40; i++)
				if (heap_contains(&items[c][i].node))
					queue_remove(&q, &items[c][i]);
		queue_clear(&q);
	}
}

static void without_priorities_all_stand_in_one_line(void **state)
{
	static struct queue_item items[200];
	struct sched_config config = {.no_priority_queues = true, .no_network_monitor = true};
	struct queue q;
	unsigned i;

	memset(items, 0, sizeof(items));
	queue_init(&q, &config);
	for (i = 0; i < 200; i++)
		queue_push(&q, &items[i], i % SCHED_CLASS__COUNT, route(i % 3 ? here : there, QUEUE_PLAIN), 1000 - i);
	for (i = 0; i < QUEUE_SLOTS_FIFO; i++) {
		assert_ptr_equal(queue_next(&q, 0), &items[i]);
		queue_start(&q, &items[i]);
	}
	assert_null(queue_next(&q, 0));
	for (; i < 200; i++)
		queue_remove(&q, &items[i]);
	queue_clear(&q);
}

static void the_shortest_goes_first_but_waiting_counts(void **state)
{
	static const struct {
		int64_t since_a, since_b;
		uint64_t left_a, left_b;
		bool a_first;
	} cases[] = {
		{0, 0, 10, 20, true},
		{1000, 0, 10, 20, false},           /* as good as equal: the older */
		{1000, 0, 10, 1000 * MIB, true},
		{100000, 0, 10, 1000 * MIB, false}, /* it has waited long enough */
		{0, 0, 1 << 20, UINT64_MAX, true},
		{INT64_C(10000000000), 0, 0, UINT64_MAX, false},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(queue_key(cases[i].since_a, cases[i].left_a) < queue_key(cases[i].since_b, cases[i].left_b),
				 cases[i].a_first);
}

/* --------------------------------------------------------------------------------------------------- admission */

static void rings_are_smaller_where_memory_is(void **state)
{
	static const struct {
		uint64_t share;
		size_t ring;
	} cases[] = {
		{16 * MIB, 256 * 1024}, {40 * MIB, 256 * 1024}, {48 * MIB, 512 * 1024}, {64 * MIB, MIB}, {4096 * MIB, MIB},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct admit a;

		admit_init(&a, cases[i].share, false, true);
		assert_int_equal(a.ring_max_bytes, cases[i].ring);
	}
}

static void the_estimate_follows_the_bytes(void **state)
{
	struct admit a;
	struct admit_cost c;

	admit_init(&a, 1024 * MIB, false, true);
	c = admit_estimate(&a, 0, 100 * MIB, UINT64_MAX);
	assert_int_equal(c.bytes, 0);
	c = admit_estimate(&a, 1, 1, UINT64_MAX);
	assert_int_equal(c.ring_bytes, 16 * 1024);
	c = admit_estimate(&a, 100000, 100000, UINT64_MAX);
	assert_int_equal(c.ring_bytes, 100000);
	assert_int_equal(c.bytes, 100000 + 80 * 1024);
	c = admit_estimate(&a, 500000, 500000, UINT64_MAX);
	assert_int_equal(c.bytes, 500000 + 112 * 1024);
	c = admit_estimate(&a, 100 * MIB, 100 * MIB, UINT64_MAX);
	assert_int_equal(c.ring_bytes, MIB);
	assert_int_equal(c.bytes, 2 * MIB + 16 * 1024);
	c = admit_estimate(&a, 100 * MIB, 100 * MIB, MIB + 716 * 1024); /* what is expected makes the ring */
	assert_int_equal(c.ring_bytes, 700 * 1024);
	c = admit_estimate(&a, 100 * MIB, 100 * MIB, 1);
	assert_int_equal(c.ring_bytes, 512 * 1024);
	c = admit_estimate(&a, 500000, 500000, 1);
	assert_int_equal(c.ring_bytes, 64 * 1024);
	admit_init(&a, 32 * MIB, false, true); /* with a short ring, what is received into is short, too */
	assert_int_equal(admit_estimate(&a, 10 * MIB, 10 * MIB, UINT64_MAX).bytes, (256 + 528 + 128) * 1024);
	admit_init(&a, 1024 * MIB, true, true);
	assert_int_equal(admit_estimate(&a, 1, 1, UINT64_MAX).bytes, 2 * MIB);
	assert_int_equal(admit_estimate(&a, 100 * MIB, 100 * MIB, 1).bytes, 2 * MIB);
}

/* Whatever runs, each class can start one more as long as it is below its floor, and the sum stays in the share. */
static void every_class_can_always_run_something(void **state)
{
	static const enum sched_class classes[] = {SCHED_HIGH, SCHED_MEDIUM, SCHED_LOW};
	static const uint64_t shares[] = {16 * MIB, 100 * MIB};
	uint64_t random = 3;
	size_t s;

	for (s = 0; s < 2; s++) {
		struct admit a;
		uint64_t running[SCHED_CLASS__COUNT] = {0}, sum = 0, largest;
		unsigned i;

		admit_init(&a, shares[s], false, true);
		largest = admit_estimate(&a, UINT64_MAX, UINT64_MAX, UINT64_MAX).bytes;
		for (i = 0; i < 20000; i++) {
			enum sched_class c = classes[next_random(&random) % 3];
			uint64_t bytes = next_random(&random) % 4 ? largest : 200000;

			if (running[c] == 0)
				assert_true(admit_allowed(&a, c, largest));
			if (next_random(&random) % 3 == 0 && running[c] > 0) {
				bytes = running[c] < bytes ? running[c] : bytes;
				admit_give(&a, c, bytes);
				running[c] -= bytes;
				sum -= bytes;
			} else if (admit_allowed(&a, c, bytes)) {
				admit_take(&a, c, bytes);
				running[c] += bytes;
				sum += bytes;
			}
			assert_true(sum <= shares[s]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_heap_gives_the_smallest_and_equals_in_order),
		cmocka_unit_test(classes_go_by_size),
		cmocka_unit_test(the_least_key_goes_first_within_the_slots),
		cmocka_unit_test(what_cannot_start_does_not_hold_up_what_can),
		cmocka_unit_test(a_class_takes_what_others_leave_and_never_less_than_its_own),
		cmocka_unit_test(a_chosen_concurrency_is_kept_by_all_classes_together),
		cmocka_unit_test(without_priorities_all_stand_in_one_line),
		cmocka_unit_test(the_shortest_goes_first_but_waiting_counts),
		cmocka_unit_test(rings_are_smaller_where_memory_is),
		cmocka_unit_test(the_estimate_follows_the_bytes),
		cmocka_unit_test(every_class_can_always_run_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
