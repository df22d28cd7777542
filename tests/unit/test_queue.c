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

static void classes_go_by_size(void **state)
{
	assert_int_equal(queue_class_of(0), SCHED_HIGH);
	assert_int_equal(queue_class_of(999999), SCHED_HIGH);
	assert_int_equal(queue_class_of(1000000), SCHED_MEDIUM);
	assert_int_equal(queue_class_of(99999999), SCHED_MEDIUM);
	assert_int_equal(queue_class_of(100000000), SCHED_LOW);
	assert_int_equal(queue_class_of(UINT64_MAX), SCHED_LOW);
	assert_string_equal(sched_class_name(SCHED_INTERACTIVE), "interactive");
}

static void the_oldest_job_goes_first_within_the_slots(void **state)
{
	static const unsigned slots[SCHED_CLASS__COUNT] = {[SCHED_LOW] = 2};
	struct queue_item items[4] = {{.lane = QUEUE_PLAIN}};
	struct queue_item *it;
	struct queue q;

	queue_init(&q, slots);
	assert_int_equal(q.classes[SCHED_HIGH].slots, 96);
	queue_push(&q, &items[0], SCHED_LOW, QUEUE_PLAIN, 7);
	queue_push(&q, &items[1], SCHED_LOW, QUEUE_PLAIN, 5);
	queue_push(&q, &items[2], SCHED_LOW, QUEUE_PLAIN, 5);
	queue_push(&q, &items[3], SCHED_HIGH, QUEUE_PLAIN, 1);
	assert_int_equal(queue_length(&q, SCHED_LOW), 3);
	it = queue_next(&q, SCHED_LOW, true);
	assert_ptr_equal(it, &items[1]);
	queue_start(&q, it);
	it = queue_next(&q, SCHED_LOW, true);
	assert_ptr_equal(it, &items[2]);
	queue_start(&q, it);
	assert_null(queue_next(&q, SCHED_LOW, true)); /* no slot */
	queue_end(&q, &items[1]);
	assert_ptr_equal(queue_next(&q, SCHED_LOW, true), &items[0]);
	queue_remove(&q, &items[0]);
	assert_null(queue_next(&q, SCHED_LOW, true));
	queue_remove(&q, &items[3]);
	queue_clear(&q);
}

static void what_needs_no_memory_passes_what_waits_for_it(void **state)
{
	static const unsigned slots[SCHED_CLASS__COUNT] = {0};
	struct queue_item relay = {.lane = QUEUE_PLAIN}, plain = {.lane = QUEUE_PLAIN};
	struct queue q;

	queue_init(&q, slots);
	queue_push(&q, &relay, SCHED_LOW, QUEUE_RELAY, 1);
	queue_push(&q, &plain, SCHED_LOW, QUEUE_PLAIN, 2);
	assert_ptr_equal(queue_next(&q, SCHED_LOW, true), &relay);
	assert_ptr_equal(queue_next(&q, SCHED_LOW, false), &plain);
	queue_remove(&q, &plain);
	assert_null(queue_next(&q, SCHED_LOW, false));
	queue_remove(&q, &relay);
	queue_clear(&q);
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

		admit_init(&a, cases[i].share);
		assert_int_equal(a.ring_max_bytes, cases[i].ring);
	}
}

static void the_estimate_follows_the_bytes(void **state)
{
	struct admit a;
	struct admit_cost c;

	admit_init(&a, 1024 * MIB);
	c = admit_estimate(&a, 0, 100 * MIB);
	assert_int_equal(c.bytes, 0);
	c = admit_estimate(&a, 1, 1);
	assert_int_equal(c.ring_bytes, 16 * 1024);
	c = admit_estimate(&a, 500000, 500000);
	assert_int_equal(c.ring_bytes, 500000);
	assert_int_equal(c.bytes, 500000 + 192 * 1024);
	c = admit_estimate(&a, 100 * MIB, 100 * MIB);
	assert_int_equal(c.ring_bytes, MIB);
	assert_int_equal(c.bytes, 2 * MIB);
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

		admit_init(&a, shares[s]);
		largest = admit_estimate(&a, UINT64_MAX, UINT64_MAX).bytes;
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
		cmocka_unit_test(the_oldest_job_goes_first_within_the_slots),
		cmocka_unit_test(what_needs_no_memory_passes_what_waits_for_it),
		cmocka_unit_test(rings_are_smaller_where_memory_is),
		cmocka_unit_test(the_estimate_follows_the_bytes),
		cmocka_unit_test(every_class_can_always_run_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
