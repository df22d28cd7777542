/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When the scheduler is read: while there is work, and not at all without. */
#include "fs/recorder.h"

#include "tests/unit/sched_fixture.h"

static void stored(void *arg, const struct sched_result *r)
{
	record(arg, r);
}

static void store(struct fixture *fx, const char *key, struct outcome *o)
{
	struct sched_extent *e = calloc(1, sizeof(*e));

	*e = (struct sched_extent){.kind = SCHED_EXTENT_ZERO, .length_bytes = 1000};
	sched_commit(fx->s, &(struct sched_commit){.bucket = &fx->a,
						   .key = key,
						   .headers = &(struct s3_headers){0},
						   .extents = e,
						   .extent_count = 1,
						   .done = stored,
						   .arg = o});
}

static struct history *history_of(struct recorder *r)
{
	struct history *h = recorder_history(r);

	assert_non_null(h);
	return h;
}

static void an_idle_scheduler_is_not_woken(void **state)
{
	struct fixture fx;
	struct recorder *r;
	struct history *h;
	int64_t before_us;

	fixture_open(&fx, NULL);
	r = recorder_new(fx.s);
	before_us = fx.s3->now_us;
	sched_step(fx.s, 3600000);
	assert_true(fx.s3->now_us - before_us >= 3600000LL * 1000); /* it slept through */
	h = history_of(r);
	assert_int_equal(h->count, 0);
	free(h);
	fixture_close(&fx);
	recorder_free(r);
}

static void work_is_recorded_and_then_the_scheduler_sleeps_again(void **state)
{
	struct fixture fx;
	struct outcome o[2] = {{0}};
	struct recorder *r;
	struct history *h;
	uint64_t uploaded = 0, done = 0;

	fixture_open(&fx, NULL);
	r = recorder_new(fx.s);
	fx.s3->latency_us = 2500000;
	for (int i = 0; i < 2; i++) {
		int64_t before_us;

		run_for(&fx, 100000);
		store(&fx, i ? "k1" : "k0", &o[i]);
		run_for(&fx, 10000);
		assert_int_equal(o[i].calls, 1);
		before_us = fx.s3->now_us;
		sched_step(fx.s, 3600000);
		assert_true(fx.s3->now_us - before_us >= 3600000LL * 1000);
	}
	h = history_of(r);
	assert_in_range(h->count, 6, 8);
	assert_true(h->samples[0].classes[SCHED_HIGH].running == 1);
	assert_int_equal(h->samples[0].bytes[HISTORY_UPLOADED], 0);
	for (size_t i = 0; i < h->count; i++) {
		uploaded += h->samples[i].bytes[HISTORY_UPLOADED];
		done += h->samples[i].done;
	}
	assert_int_equal(uploaded, 2 * 1000);
	assert_int_equal(done, 2);
	free(h);
	fixture_close(&fx);
	recorder_free(r);
}

static void a_question_in_the_middle_gets_what_is_known_so_far(void **state)
{
	struct fixture fx;
	struct outcome o = {0};
	struct recorder *r;
	struct history *h;

	fixture_open(&fx, NULL);
	r = recorder_new(fx.s);
	fx.s3->latency_us = 2500000;
	store(&fx, "k", &o);
	run_for(&fx, 1400);
	h = history_of(r);
	assert_int_equal(h->count, 2);
	free(h);
	h = history_of(r); /* at once again: no sample of no length */
	assert_int_equal(h->count, 2);
	free(h);
	run_for(&fx, 5000);
	fixture_close(&fx);
	recorder_free(r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_scheduler_is_not_woken),
		cmocka_unit_test(work_is_recorded_and_then_the_scheduler_sleeps_again),
		cmocka_unit_test(a_question_in_the_middle_gets_what_is_known_so_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
