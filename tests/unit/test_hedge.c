/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Late answers, simulated: requests sent a second time, and timeouts that adapt. */
#include "tests/unit/sched_fixture.h"

#include "s3/base/log.h"

#define OBJECT_BYTES 20000 /* more than on_data gets at once */
#define READS 5000

struct reader {
	struct fixture *fx;
	int64_t start_us, took_us;
	uint64_t bytes, wrong;
	unsigned calls;
	enum s3_error error;
	struct readers *all;
};

struct readers {
	struct fixture fx;
	struct reader each[READS];
	unsigned count, next, ended;
};

static void take_data(void *arg, const void *data, size_t len)
{
	struct reader *rd = arg;
	const unsigned char *p = data;
	size_t i;

	for (i = 0; i < len; i++)
		rd->wrong += p[i] != fake_pattern(7, rd->bytes + i);
	rd->bytes += len;
}

static void read_next(struct readers *all);

static void read_done(void *arg, struct s3_request *r)
{
	struct reader *rd = arg;

	rd->calls++;
	rd->error = r->result.error;
	rd->took_us = rd->fx->s3->now_us - rd->start_us;
	if (r->op == S3_OP_GET)
		assert_int_equal(r->delivered_bytes, rd->bytes);
	assert_null(r->race);
	s3_request_free(r);
	if (rd->all) {
		rd->all->ended++;
		read_next(rd->all);
	}
}

static uint64_t start(struct fixture *fx, struct reader *rd, enum s3_op op, enum sched_class class)
{
	struct s3_request *r = s3_request_new(op, &fx->a, op == S3_OP_LIST ? NULL : "object");

	rd->fx = fx;
	rd->start_us = fx->s3->now_us;
	r->on_data = take_data;
	r->on_data_arg = rd;
	return sched_request(fx->s, r, class, read_done, rd);
}

static void read_next(struct readers *all)
{
	static const enum s3_op ops[] = {S3_OP_GET, S3_OP_HEAD, S3_OP_GET, S3_OP_LIST};

	if (all->next < all->count) {
		struct reader *rd = &all->each[all->next++];

		rd->all = all;
		start(&all->fx, rd, ops[all->next % 4], SCHED_INTERACTIVE);
	}
}

static int compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* READS reads, sixteen at a time, of which LATE in a thousand take 2 s longer: the 99th percentile. */
static int64_t read_p99_us(const struct sched_config *config, unsigned late_permille, unsigned fault_permille,
			   struct sched_stats *st)
{
	static struct readers all;
	static int64_t took[READS];
	unsigned i;

	memset(&all, 0, sizeof(all));
	fixture_open(&all.fx, config);
	fake_put(all.fx.s3, &all.fx.a, "object", 7, OBJECT_BYTES);
	all.fx.s3->late_permille = late_permille;
	all.fx.s3->late_us = 1900000;
	all.fx.s3->retryable_permille = fault_permille;
	all.count = READS;
	for (i = 0; i < 16; i++)
		read_next(&all);
	run(&all.fx);
	for (i = 0; i < READS; i++) {
		const struct reader *rd = &all.each[i];

		assert_int_equal(rd->calls, 1);
		/* Bytes that turned out to be wrong are not taken back. */
		assert_true(rd->error == S3_OK || (fault_permille > 0 && rd->error == S3_ERR_CORRUPT));
		assert_true(rd->bytes == 0 || rd->bytes == OBJECT_BYTES || rd->error != S3_OK); /* HEAD and LIST have none */
		assert_int_equal(rd->wrong, 0);
		took[i] = rd->took_us;
	}
	*st = stats_of(&all.fx);
	fixture_close(&all.fx);
	qsort(took, READS, sizeof(took[0]), compare);
	return took[READS * 99 / 100];
}

static void the_slowest_reads_are_sent_again_and_the_rest_is_not(void **state)
{
	struct sched_config on = {.seed = 3}, off = {.seed = 3, .no_streaming_optimizer = true};
	struct sched_stats with, without;
	int64_t with_us = read_p99_us(&on, 12, 0, &with), without_us = read_p99_us(&off, 12, 0, &without);

	print_message("12 in 1000 take 2 s: p99 %lld ms, without hedges %lld ms; %llu hedges, %llu won\n",
		      (long long)with_us / 1000, (long long)without_us / 1000, (unsigned long long)with.hedged,
		      (unsigned long long)with.hedges_won);
	assert_true(without_us > 1900000);
	assert_true(with_us < 200000);
	assert_true(with.hedged >= 40 && with.hedged <= READS * 3 / 100 + 8);
	assert_true(with.hedges_won * 10 >= with.hedged * 9);
	assert_int_equal(without.hedged, 0);
}

static void when_many_are_slow_the_budget_holds(void **state)
{
	struct sched_config config = {.seed = 4};
	struct sched_stats st;

	read_p99_us(&config, 300, 0, &st);
	assert_true(st.hedged <= READS * 3 / 100 + 8);
	assert_true(st.requests[S3_OP_GET] + st.requests[S3_OP_HEAD] + st.requests[S3_OP_LIST] == READS + st.hedged);
}

static void hedges_and_faults_together_deliver_every_byte_once(void **state)
{
	struct sched_stats st;
	uint64_t seed, hedged = 0;

	for (seed = 10; seed < 14; seed++) {
		struct sched_config config = {.seed = seed, .retry_max = 100};

		read_p99_us(&config, 20, 3, &st);
		hedged += st.hedged;
	}
	assert_true(hedged > 30);
}

/* ---------------------------------------------------------------------------------------------- one at a time */

/* A path on which it is known what is usual, and one request that is late. */
static void open_with_one_late(struct fixture *fx, const struct sched_config *config, struct reader *rd, enum s3_op op)
{
	static struct reader usual[40];
	unsigned i;

	memset(usual, 0, sizeof(usual));
	*rd = (struct reader){0};
	fixture_open(fx, config);
	fake_put(fx->s3, &fx->a, "object", 7, OBJECT_BYTES);
	for (i = 0; i < 40; i++)
		start(fx, &usual[i], op, SCHED_INTERACTIVE);
	run(fx);
	fx->s3->late_permille = 1000;
	fx->s3->late_us = 1000000;
	start(fx, rd, op, SCHED_INTERACTIVE);
	sched_step(fx->s, 0);
	fx->s3->late_permille = 0;
}

static void expect_read(struct fixture *fx, const struct reader *rd, uint64_t hedged, uint64_t won)
{
	struct sched_stats st = stats_of(fx);

	assert_int_equal(rd->calls, 1);
	assert_int_equal(rd->error, S3_OK);
	assert_int_equal(rd->wrong, 0);
	assert_int_equal(st.hedged, hedged);
	assert_int_equal(st.hedges_won, won);
	assert_int_equal(st.retries, 0);
}

static void whoever_answers_first_wins(void **state)
{
	static const enum s3_op ops[] = {S3_OP_HEAD, S3_OP_GET, S3_OP_LIST};
	struct fixture fx;
	struct reader rd;
	size_t i;

	for (i = 0; i < 3; i++) {
		open_with_one_late(&fx, NULL, &rd, ops[i]);
		run(&fx);
		expect_read(&fx, &rd, 1, 1);
		assert_true(rd.took_us < 150000);
		fixture_close(&fx);

		open_with_one_late(&fx, NULL, &rd, ops[i]);
		fx.s3->late_permille = 1000; /* the hedge is later still */
		fx.s3->late_us = 2000000;
		run(&fx);
		expect_read(&fx, &rd, 1, 0);
		assert_in_range(rd.took_us, 1000000, 1100000);
		fixture_close(&fx);
	}
}

static void an_error_of_one_does_not_fail_while_the_other_runs(void **state)
{
	struct fixture fx;
	struct reader rd;

	open_with_one_late(&fx, NULL, &rd, S3_OP_GET);
	fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_GET, .error = S3_ERR_ACCESS, .count = 1});
	run(&fx);
	expect_read(&fx, &rd, 1, 0);
	assert_in_range(rd.took_us, 1000000, 1100000);
	fixture_close(&fx);
}

static void when_both_fail_the_policy_decides(void **state)
{
	struct sched_config config = {.retry_max = 2};
	struct fixture fx;
	struct reader rd;

	open_with_one_late(&fx, &config, &rd, S3_OP_HEAD);
	fx.s3->retryable_permille = 1000;
	run_for(&fx, 500); /* the hedge has failed */
	assert_int_equal(rd.calls, 0);
	fake_remove(fx.s3, &fx.a, "object");
	fx.s3->retryable_permille = 0;
	run(&fx);
	assert_int_equal(rd.calls, 1);
	assert_int_equal(rd.error, S3_ERR_NOT_FOUND);
	fixture_close(&fx);

	open_with_one_late(&fx, &config, &rd, S3_OP_GET);
	run_for(&fx, 40);
	fake_plan_fault(fx.s3, (struct fake_fault){
				       .op = S3_OP_GET, .error = S3_ERR_NETWORK, .after_bytes = 9000, .count = 1});
	run(&fx); /* the hedge delivers some and breaks off: what is missing is asked for, the first one is not used */
	assert_int_equal(rd.calls, 1);
	assert_int_equal(rd.error, S3_OK);
	assert_int_equal(rd.bytes, OBJECT_BYTES);
	assert_int_equal(rd.wrong, 0);
	assert_int_equal(stats_of(&fx).retries, 1);
	fixture_close(&fx);
}

static void both_may_end_in_the_same_turn(void **state)
{
	static const enum s3_op ops[] = {S3_OP_HEAD, S3_OP_GET, S3_OP_LIST};
	struct fixture fx;
	struct reader rd;
	size_t i;

	for (i = 0; i < 3; i++) {
		static struct reader usual[40];
		unsigned n;

		memset(usual, 0, sizeof(usual));
		rd = (struct reader){0};
		fixture_open(&fx, NULL);
		fx.s3->latency_us = 3; /* too short to vary; the hedge goes out after 50 ms */
		fx.s3->bytes_per_second = UINT64_C(1) << 40;
		fake_put(fx.s3, &fx.a, "object", 7, OBJECT_BYTES);
		for (n = 0; n < 40; n++)
			start(&fx, &usual[n], ops[i], SCHED_INTERACTIVE);
		run(&fx);
		fx.s3->now_us = (fx.s3->now_us + 999) / 1000 * 1000;
		fx.s3->late_permille = 1000;
		fx.s3->late_us = 50000;
		start(&fx, &rd, ops[i], SCHED_INTERACTIVE);
		sched_step(fx.s, 0);
		fx.s3->late_permille = 0;
		while (rd.calls == 0)
			sched_step(fx.s, 1000);
		assert_int_equal(rd.took_us, 50003);
		expect_read(&fx, &rd, 1, 0);
		assert_int_equal(fx.s3->in_flight, 0);
		fixture_close(&fx);
	}
}

static void cancelling_ends_both(void **state)
{
	struct fixture fx;
	struct reader rd = {0};
	uint64_t id;
	unsigned i;

	for (i = 0; i < 2; i++) {
		open_with_one_late(&fx, NULL, &rd, S3_OP_GET);
		run(&fx);
		rd = (struct reader){0};
		fx.s3->late_permille = 1000;
		id = start(&fx, &rd, S3_OP_GET, SCHED_INTERACTIVE);
		if (i == 0)
			fake_plan_fault(fx.s3, (struct fake_fault){
						       .op = S3_OP_GET, .error = S3_ERR_SERVER, .skip = 1, .count = 1});
		run_for(&fx, i == 0 ? 500 : 70); /* the hedge is back with its error, or under way */
		assert_int_equal(stats_of(&fx).hedged, 2);
		assert_int_equal(rd.calls, 0);
		sched_cancel(fx.s, id);
		sched_step(fx.s, 0);
		sched_step(fx.s, 0);
		assert_int_equal(rd.calls, 1);
		assert_int_equal(fx.s3->in_flight, 0);
		fixture_close(&fx);
	}
}

static void nothing_is_sent_again_when_that_would_not_help(void **state)
{
	enum { REFUSED, BEGUN, NOT_AWAITED, CASES };
	struct fixture fx;
	struct reader rd, other = {0};
	unsigned i;

	for (i = 0; i < CASES; i++) {
		other = (struct reader){0};
		open_with_one_late(&fx, NULL, &rd, S3_OP_GET);
		run(&fx);
		rd = (struct reader){0};
		if (i == REFUSED) {
			fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_HEAD, .error = S3_ERR_THROTTLED, .count = 1});
			start(&fx, &other, S3_OP_HEAD, SCHED_HIGH);
			run(&fx);
		}
		fx.s3->late_us = i == BEGUN ? 0 : 1000000;
		fx.s3->bytes_per_second = i == BEGUN ? 40000 : 50000000;
		fx.s3->late_permille = 1000;
		start(&fx, &rd, S3_OP_GET, i == NOT_AWAITED ? SCHED_MEDIUM : SCHED_INTERACTIVE);
		run(&fx);
		assert_int_equal(rd.calls, 1);
		assert_int_equal(rd.bytes, OBJECT_BYTES);
		assert_int_equal(stats_of(&fx).hedged, 1);
		fixture_close(&fx);
	}
}

/* ---------------------------------------------------------------------------------------------------- relays */

static void count_puts(struct fake_s3 *f, struct s3_request *r, void *arg)
{
	unsigned *puts = arg;

	*puts += r->op == S3_OP_PUT || r->op == S3_OP_UPLOAD_PART;
}

#define COPIES 2000

/* The 99th percentile of the copies' times, a hundred at once. */
static int64_t copy_p99_us(const struct sched_config *config, struct sched_stats *st, bool *memory_kept)
{
	static struct outcome o[COPIES];
	static int64_t start_us[COPIES], took[COPIES];
	struct sched_memory_stats m;
	struct fake_object *src;
	struct fixture fx;
	unsigned i, first = 0, next = 0, puts = 0;
	char key[32];

	memset(o, 0, sizeof(o));
	fixture_open(&fx, config);
	src = fake_put(fx.s3, &fx.a, "src", 1, OBJECT_BYTES);
	fx.s3->late_permille = 12;
	fx.s3->late_us = 1900000;
	fx.s3->before = count_puts;
	fx.s3->before_arg = &puts;
	while (first < COPIES) {
		for (; next < COPIES && next < first + 20; next++) {
			snprintf(key, sizeof(key), "k%u", next);
			start_us[next] = fx.s3->now_us;
			took[next] = -1;
			commit_copy_of(&fx, &fx.far, key, src, &o[next]);
		}
		sched_step(fx.s, 1000);
		for (i = first; i < next; i++)
			if (o[i].calls > 0 && took[i] < 0)
				took[i] = fx.s3->now_us - start_us[i];
		while (first < next && o[first].calls > 0)
			first++;
	}
	run(&fx);
	for (i = 0; i < COPIES; i++) {
		assert_ok(&o[i]);
		snprintf(key, sizeof(key), "k%u", i);
		assert_pattern(&fx, &fx.far, key, 1, 0, OBJECT_BYTES);
	}
	assert_int_equal(puts, COPIES); /* the destination was asked once for each */
	sched_memory_stats(sched_memory_of(fx.s), &m);
	*memory_kept = m.peak_bytes <= sched_memory_share(sched_memory_of(fx.s), SCHED_MEMORY_RELAY);
	*st = stats_of(&fx);
	fixture_close(&fx);
	qsort(took, COPIES, sizeof(took[0]), compare);
	return took[COPIES * 99 / 100];
}

static void a_relay_whose_source_is_late_is_begun_again(void **state)
{
	struct sched_config on = {.seed = 5, .memory_limit_bytes = SCHED_MEMORY_MIN_BYTES};
	struct sched_config off = {.seed = 5, .no_streaming_optimizer = true};
	struct sched_stats with, without;
	bool kept;
	int64_t with_us = copy_p99_us(&on, &with, &kept), without_us;

	assert_true(kept);
	without_us = copy_p99_us(&off, &without, &kept);
	print_message("copies: p99 %lld ms, without hedges %lld ms; %llu hedges, %llu won\n", (long long)with_us / 1000,
		      (long long)without_us / 1000, (unsigned long long)with.hedged, (unsigned long long)with.hedges_won);
	assert_true(without_us > 1900000 && with_us < 300000);
	assert_true(with.hedged >= 10 && with.hedged <= COPIES * 3 / 100 + 5);
}

/* Only the last part of an object is waited for. */
static void a_late_part_is_sent_again_when_it_is_the_last(void **state)
{
	struct fixture fx;
	static struct outcome o[60];
	struct fake_object *src;
	unsigned i, puts = 0;
	char key[32];

	memset(o, 0, sizeof(o));
	fixture_open(&fx, NULL);
	src = fake_put(fx.s3, &fx.a, "src", 1, 40 * MIB);
	for (i = 0; i < 60; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		if (i == 50) {
			run(&fx);
			fx.s3->late_permille = 100;
			fx.s3->late_us = 1900000;
			fx.s3->before = count_puts;
			fx.s3->before_arg = &puts;
		}
		commit_copy_of(&fx, &fx.far, key, src, &o[i]);
	}
	run(&fx);
	for (i = 0; i < 60; i++) {
		assert_ok(&o[i]);
		snprintf(key, sizeof(key), "k%u", i);
		assert_pattern(&fx, &fx.far, key, 1, 0, 40 * MIB);
	}
	assert_int_equal(puts, 10 * 5);
	assert_true(stats_of(&fx).hedged > 0);
	assert_int_equal(fake_upload_count(fx.s3, false), 0);
	fixture_close(&fx);
}

/* -------------------------------------------------------------------------------------------------- timeouts */

static void a_request_that_hangs_is_given_up_and_tried_again(void **state)
{
	struct fixture fx;
	struct outcome o = {0};
	struct reader rd;

	open_with_one_late(&fx, NULL, &rd, S3_OP_GET);
	run(&fx);
	fake_put(fx.s3, &fx.a, "src", 1, OBJECT_BYTES);
	fx.s3->late_permille = 1000;
	fx.s3->late_us = INT64_C(3600000000);
	commit_copy_of(&fx, &fx.far, "copy", fake_find(fx.s3, &fx.a, "src"), &o);
	run_for(&fx, 1000); /* and its hedge hangs, too */
	fx.s3->late_permille = 0;
	run_for(&fx, 3000);
	assert_ok(&o);
	assert_int_equal(stats_of(&fx).retries, 1);
	fixture_close(&fx);
}

static void a_server_that_becomes_slow_is_waited_for(void **state)
{
	static struct readers all;
	struct sched_config config = {.seed = 6};
	uint64_t before;
	unsigned i;

	memset(&all, 0, sizeof(all));
	fixture_open(&all.fx, &config);
	fake_put(all.fx.s3, &all.fx.a, "object", 7, OBJECT_BYTES);
	all.count = 200;
	for (i = 0; i < 16; i++)
		read_next(&all);
	run(&all.fx);
	all.fx.s3->latency_us = 10000000; /* from 20 ms to 10 s */
	all.count = 2000;
	for (i = 0; i < 16; i++)
		read_next(&all);
	while (all.ended < 600)
		sched_step(all.fx.s, 1000);
	before = stats_of(&all.fx).retries;
	run(&all.fx);
	print_message("from 20 ms to 10 s: %llu requests given up at first, %llu of 1400 later\n", (unsigned long long)before,
		      (unsigned long long)(stats_of(&all.fx).retries - before));
	assert_true(before <= 16 * 4);
	assert_int_equal(stats_of(&all.fx).retries, before);
	for (i = 0; i < all.count; i++)
		assert_int_equal(all.each[i].error, S3_OK);
	fixture_close(&all.fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_slowest_reads_are_sent_again_and_the_rest_is_not),
		cmocka_unit_test(when_many_are_slow_the_budget_holds),
		cmocka_unit_test(hedges_and_faults_together_deliver_every_byte_once),
		cmocka_unit_test(whoever_answers_first_wins),
		cmocka_unit_test(an_error_of_one_does_not_fail_while_the_other_runs),
		cmocka_unit_test(when_both_fail_the_policy_decides),
		cmocka_unit_test(both_may_end_in_the_same_turn),
		cmocka_unit_test(cancelling_ends_both),
		cmocka_unit_test(nothing_is_sent_again_when_that_would_not_help),
		cmocka_unit_test(a_relay_whose_source_is_late_is_begun_again),
		cmocka_unit_test(a_late_part_is_sent_again_when_it_is_the_last),
		cmocka_unit_test(a_request_that_hangs_is_given_up_and_tried_again),
		cmocka_unit_test(a_server_that_becomes_slow_is_waited_for),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
