/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The adaptive engine on simulated links: what the controller finds, against the best fixed concurrency of a sweep;
 * servers that refuse; and what turning the parts off does. */
#include "tests/unit/sched_fixture.h"

#include "s3/base/log.h"

#define OBJECT_BYTES 100000

struct stream {
	struct fixture fx;
	unsigned next, done, failed;
	unsigned ahead; /* jobs given to the scheduler and not ended */
	struct fake_object *src;
	bool closed;
};

static void stream_more(struct stream *st);

static void stream_done(void *arg, const struct sched_result *r)
{
	struct stream *st = arg;

	st->ahead--;
	if (r->error == S3_OK)
		st->done++;
	else
		st->failed++;
	stream_more(st);
}

static void stream_more(struct stream *st)
{
	while (!st->closed && st->ahead < 1500) {
		struct sched_extent e = copy_of(st->src, 0, OBJECT_BYTES);
		char key[32];
		struct sched_commit c = {
			.bucket = &st->fx.far,
			.key = key,
			.extents = extent_array(&e, 1),
			.extent_count = 1,
			.done = stream_done,
			.arg = st,
		};

		snprintf(key, sizeof(key), "k%u", st->next++ % 4000);
		st->ahead++;
		sched_commit(st->fx.s, &c);
	}
}

static void stream_open(struct stream *st, const struct sched_config *config)
{
	*st = (struct stream){0};
	fixture_open(&st->fx, config);
	st->src = fake_put(st->fx.s3, &st->fx.a, "src", 1, OBJECT_BYTES);
	stream_more(st);
}

static void stream_close(struct stream *st)
{
	st->closed = true;
	run(&st->fx);
	assert_int_equal(st->failed, 0);
	fixture_close(&st->fx);
}

/* Objects per second over the next SECONDS. */
static double rate(struct stream *st, unsigned seconds)
{
	unsigned before = st->done;

	run_for(&st->fx, seconds * 1000);
	return (double)(st->done - before) / seconds;
}

struct link {
	int64_t latency_us;
	uint64_t total_bytes_per_second;
	double requests_per_second;
};

static void set_link(struct stream *st, const struct link *l)
{
	st->fx.s3->latency_us = l->latency_us;
	st->fx.s3->total_bytes_per_second = l->total_bytes_per_second;
	st->fx.s3->requests_per_second = l->requests_per_second;
	st->fx.s3->bytes_per_second = 40000000;
}

static double best_fixed(const struct link *l)
{
	static const unsigned tried[] = {8, 32, 64, 128, 256, 500};
	static struct stream st;
	double best = 0;
	unsigned i;

	for (i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
		struct sched_config config = {.no_network_monitor = true, .memory_limit_bytes = GIB};
		double r;

		config.slots[SCHED_HIGH] = tried[i];
		stream_open(&st, &config);
		set_link(&st, l);
		run_for(&st.fx, 1000);
		r = rate(&st, 2);
		best = r > best ? r : best;
		st.fx.s3->requests_per_second = 0;
		stream_close(&st);
	}
	return best;
}

static void the_controller_follows_the_link(void **state)
{
	static const struct link links[] = {
		{5000, 400000000, 0}, {80000, 400000000, 0}, {20000, 400000000, 0}, {20000, 60000000, 0}, {20000, 400000000, 0},
	};
	struct sched_config config = {.memory_limit_bytes = GIB};
	static struct stream st;
	static struct sched_engine_stats es;
	unsigned i;

	stream_open(&st, &config);
	for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		double best = best_fixed(&links[i]), r = 0;
		unsigned seconds = 0;

		set_link(&st, &links[i]);
		while (seconds < 30 && r < 0.9 * best) {
			r = rate(&st, 1);
			seconds++;
		}
		r = rate(&st, 8);
		sched_engine_stats(st.fx.s, &es);
		print_message("rtt %lld ms, %llu MB/s: %.0f/s of %.0f (%.0f %%), %u s to converge, limit %u\n",
			      (long long)links[i].latency_us / 1000,
			      (unsigned long long)links[i].total_bytes_per_second / 1000000, r, best, 100 * r / best, seconds,
			      es.paths[es.path_count - 1].limit);
		assert_true(r >= 0.9 * best);
		assert_true(seconds <= 15);
	}
	stream_close(&st);
}

static void a_server_that_refuses_is_used_to_its_rate(void **state)
{
	static const struct link l = {20000, 400000000, 200};
	struct sched_config config = {.memory_limit_bytes = GIB};
	static struct stream st;
	uint64_t refused, sent;
	double r;

	stream_open(&st, &config);
	set_link(&st, &l);
	run_for(&st.fx, 5000); /* finding out costs what is in flight */
	refused = st.fx.s3->injected[S3_ERR_THROTTLED];
	sent = st.fx.s3->requests[S3_OP_PUT];
	r = rate(&st, 60);
	refused = st.fx.s3->injected[S3_ERR_THROTTLED] - refused;
	sent = st.fx.s3->requests[S3_OP_PUT] - sent;
	print_message("200/s: %.1f/s, %.2f %% refused, %llu at first\n", r, 100.0 * (double)refused / (double)sent,
		      (unsigned long long)(st.fx.s3->injected[S3_ERR_THROTTLED] - refused));
	assert_true(r >= 180);
	assert_true(refused * 50 < sent);
	st.fx.s3->requests_per_second = 0;
	stream_close(&st);
}

/* 2000 small objects over a long link: what a person sees of the start. */
static void many_small_objects_get_going_at_once(void **state)
{
	struct sched_config config = {.memory_limit_bytes = 64 * MIB};
	static struct stream st;
	static const struct link l = {50000, 0, 0};
	int64_t start_us;

	stream_open(&st, &config);
	set_link(&st, &l);
	start_us = st.fx.s3->now_us;
	while (st.done < 100)
		sched_step(st.fx.s, 10);
	assert_true(st.fx.s3->in_flight_max >= 48);
	while (st.done < 2000)
		sched_step(st.fx.s, 10);
	print_message("2000 objects in %.2f s, at most %u in flight\n", (double)(st.fx.s3->now_us - start_us) / 1e6,
		      st.fx.s3->in_flight_max);
	assert_true(st.fx.s3->now_us - start_us < 2500000);
	stream_close(&st);
}

/* Sixty-four large copies and many small ones at once. */
static void memory_is_kept_and_what_is_learned_makes_room(void **state)
{
	static const uint64_t limits[] = {SCHED_MEMORY_MIN_BYTES, 64 * MIB, 512 * MIB};
	static struct sched_engine_stats es;
	size_t l;

	for (l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
		struct sched_config config = {.memory_limit_bytes = limits[l]};
		static struct outcome large[64], small[500];
		struct sched_memory_stats m;
		struct fixture fx;
		char key[32];
		unsigned i;

		memset(large, 0, sizeof(large));
		memset(small, 0, sizeof(small));
		fixture_open(&fx, &config);
		fake_put(fx.s3, &fx.a, "small", 2, OBJECT_BYTES);
		fake_put(fx.s3, &fx.a, "large", 1, GIB);
		for (i = 0; i < 500; i++) {
			snprintf(key, sizeof(key), "k%u", i);
			if (i < 64)
				commit_copy_of(&fx, &fx.far, key, fake_find(fx.s3, &fx.a, "large"), &large[i]);
			snprintf(key, sizeof(key), "s%u", i);
			commit_copy_of(&fx, &fx.far, key, fake_find(fx.s3, &fx.a, "small"), &small[i]);
		}
		run(&fx);
		for (i = 0; i < 500; i++) {
			if (i < 64)
				assert_ok(&large[i]);
			assert_ok(&small[i]);
		}
		sched_memory_stats(sched_memory_of(fx.s), &m);
		assert_true(m.peak_bytes <= limits[l] / 2);
		sched_engine_stats(fx.s, &es);
		for (i = 0; i < SCHED_PROFILES; i++) {
			const struct sched_profile_stats *p = &es.profiles[i];

			if (p->samples > 20)
				assert_true(p->error_after < 0.5 * p->error_before);
			if (p->samples > 0)
				print_message("%llu MiB, %s: error %.0f %%, learned %.0f %%\n",
					      (unsigned long long)limits[l] / MIB, p->name, 100 * p->error_before,
					      100 * p->error_after);
		}
		assert_int_equal(es.classes[SCHED_HIGH].changes, 500);
		assert_true(es.classes[SCHED_HIGH].p99_ms <= es.classes[SCHED_LOW].p50_ms);
		print_message("%llu MiB: high %u workers x %llu KiB, low %u x %llu KiB, waited %llu ms; p99 of small %lld ms\n",
			      (unsigned long long)limits[l] / MIB, es.classes[SCHED_HIGH].workers_planned,
			      (unsigned long long)es.classes[SCHED_HIGH].worker_bytes / 1024,
			      es.classes[SCHED_LOW].workers_planned,
			      (unsigned long long)es.classes[SCHED_LOW].worker_bytes / 1024,
			      (unsigned long long)es.classes[SCHED_LOW].memory_waited_ms,
			      (long long)es.classes[SCHED_HIGH].p99_ms);
		fixture_close(&fx);
	}
}

static void without_learning_a_relay_takes_two_mib(void **state)
{
	struct sched_config config = {.memory_limit_bytes = 64 * MIB, .no_dynamic_memory = true};
	static struct stream st;

	stream_open(&st, &config);
	run_for(&st.fx, 1000);
	assert_int_equal(st.fx.s3->in_flight_max, (32 - 8) / 2); /* what the floors of the others leave */
	stream_close(&st);
}

struct copies {
	unsigned count;
	uint64_t bytes;
};

/* Seconds until all copies have ended, over 50 ms and 40 MB/s per connection. */
static double copy_all(const struct sched_config *config, const struct copies *c)
{
	static struct outcome o[100];
	struct fixture fx;
	struct fake_object *src;
	int64_t start_us;
	char key[32];
	unsigned i;

	memset(o, 0, sizeof(o));
	fixture_open(&fx, config);
	fx.s3->latency_us = 50000;
	fx.s3->bytes_per_second = 40000000;
	src = fake_put(fx.s3, &fx.a, "src", 1, c->bytes);
	start_us = fx.s3->now_us;
	for (i = 0; i < c->count; i++) {
		snprintf(key, sizeof(key), "k%u", i);
		commit_copy_of(&fx, &fx.far, key, src, &o[i]);
	}
	while (stats_of(&fx).jobs_done < c->count)
		sched_step(fx.s, 1000);
	start_us = fx.s3->now_us - start_us;
	for (i = 0; i < c->count; i++)
		assert_ok(&o[i]);
	fixture_close(&fx);
	return (double)start_us / 1e6;
}

static void parts_make_large_objects_fast(void **state)
{
	static const struct {
		struct copies copies;
		double gain;
	} cases[] = {{{100, 10000000}, 1.0}, {{3, 512 * MIB}, 3}, {{1, 4 * GIB}, 10}, {{1, 6 * GIB}, 10}};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sched_config on = {.memory_limit_bytes = 256 * MIB};
		struct sched_config off = {.memory_limit_bytes = 256 * MIB, .no_streaming_optimizer = true};
		double with = copy_all(&on, &cases[i].copies), without = copy_all(&off, &cases[i].copies);

		print_message("%u x %llu MB: %.1f s, in one stream each %.1f s\n", cases[i].copies.count,
			      (unsigned long long)cases[i].copies.bytes / 1000000, with, without);
		assert_true(without >= cases[i].gain * with);
	}
}

struct mixed {
	int64_t small_p99_ms; /* within which 99 of 100 small ones were there */
	int64_t large_ms;     /* until the last of the large ones was */
};

/* LARGE × 512 MiB run, and then SMALL × 64 KiB arrive at once: over 50 ms, 40 MB/s per connection, TOTAL bytes/s in all. */
static struct mixed mix(const struct sched_config *config, uint64_t total, unsigned large, unsigned small)
{
	static struct outcome o[1100];
	struct fixture fx;
	struct fake_object *src;
	struct mixed m = {0};
	int64_t start_us, small_us;
	unsigned i, ended = 0;
	char key[32];

	assert_true(small <= 1000 && large <= 100);
	memset(o, 0, sizeof(o));
	fixture_open(&fx, config);
	fx.s3->latency_us = 50000;
	fx.s3->bytes_per_second = 40000000;
	fx.s3->total_bytes_per_second = total;
	src = fake_put(fx.s3, &fx.a, "large", 1, 512 * MIB);
	start_us = fx.s3->now_us;
	for (i = 0; i < large; i++) {
		snprintf(key, sizeof(key), "l%u", i);
		commit_copy_of(&fx, &fx.far, key, src, &o[1000 + i]);
	}
	run_for(&fx, 1000);
	src = fake_put(fx.s3, &fx.a, "small", 2, 65536);
	small_us = fx.s3->now_us;
	for (i = 0; i < small; i++) {
		snprintf(key, sizeof(key), "s%u", i);
		commit_copy_of(&fx, &fx.far, key, src, &o[i]);
	}
	while (ended < small * 99 / 100) {
		sched_step(fx.s, 1000);
		for (ended = 0, i = 0; i < small; i++)
			ended += o[i].calls > 0;
	}
	m.small_p99_ms = (fx.s3->now_us - small_us) / 1000;
	while (stats_of(&fx).jobs_done < large + small)
		sched_step(fx.s, 1000);
	m.large_ms = (fx.s3->now_us - start_us) / 1000;
	run(&fx);
	fixture_close(&fx);
	return m;
}

static void small_ones_hardly_notice_large_ones(void **state)
{
	/* Where the simulated connections share a link, one keeps the share with which it began: what large ones take
	 * there says nothing. */
	static const struct {
		uint64_t memory_limit_bytes, total_bytes_per_second;
		unsigned large;
		int64_t small_tenths, large_tenths; /* of the time alone, at most */
		int64_t fifo_tenths;                /* of the time with priorities, without them at least */
	} cases[] = {
		{64 * MIB, 400000000, 4, 13, 0, 20},
		{256 * MIB, 400000000, 4, 13, 0, 15},
		{256 * MIB, 400000000, 40, 13, 0, 20},
		{64 * MIB, 0, 4, 13, 13, 15},
		{256 * MIB, 0, 4, 13, 13, 0},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sched_config on = {.memory_limit_bytes = cases[i].memory_limit_bytes}, off = on;
		uint64_t total = cases[i].total_bytes_per_second;
		struct mixed alone = mix(&on, total, 0, 1000), undisturbed = {0};
		struct mixed both = mix(&on, total, cases[i].large, 1000), fifo;

		off.no_priority_queues = true;
		fifo = mix(&off, total, cases[i].large, 1000);
		if (cases[i].large_tenths)
			undisturbed = mix(&on, total, cases[i].large, 0);
		print_message("%llu MiB, %llu MB/s: p99 of 1000 small: alone %lld ms, beside %u large %lld ms, in one line %lld "
			      "ms; the large ones: alone %lld ms, beside the small %lld ms\n",
			      (unsigned long long)cases[i].memory_limit_bytes / MIB, (unsigned long long)total / 1000000,
			      (long long)alone.small_p99_ms, cases[i].large, (long long)both.small_p99_ms,
			      (long long)fifo.small_p99_ms, (long long)undisturbed.large_ms, (long long)both.large_ms);
		assert_true(both.small_p99_ms * 10 <= alone.small_p99_ms * cases[i].small_tenths);
		if (cases[i].large_tenths)
			assert_true(both.large_ms * 10 <= undisturbed.large_ms * cases[i].large_tenths);
		assert_true(fifo.small_p99_ms * 10 >= both.small_p99_ms * cases[i].fifo_tenths);
	}
}

/* Parts of the large object, as the server gets them, while small ones never end. */
struct progress {
	int64_t last_us, longest_us;
	unsigned parts;
};

static void note_part(struct fake_s3 *f, struct s3_request *r, void *arg)
{
	struct progress *p = arg;

	if (r->op != S3_OP_UPLOAD_PART)
		return;
	if (f->now_us - p->last_us > p->longest_us)
		p->longest_us = f->now_us - p->last_us;
	p->last_us = f->now_us;
	p->parts++;
}

static void large_ones_go_on_while_small_ones_keep_coming(void **state)
{
	static const uint64_t limits[] = {SCHED_MEMORY_MIN_BYTES, 256 * MIB};
	static const struct link l = {20000, 60000000, 0};
	size_t i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct sched_config config = {.memory_limit_bytes = limits[i]};
		struct outcome large = {0}, medium = {0};
		static struct stream st;
		struct progress p;
		int64_t start_us;
		unsigned before;

		stream_open(&st, &config);
		set_link(&st, &l);
		run_for(&st.fx, 2000);
		p = (struct progress){.last_us = st.fx.s3->now_us};
		st.fx.s3->before = note_part;
		st.fx.s3->before_arg = &p;
		start_us = st.fx.s3->now_us;
		before = st.done;
		commit_copy_of(&st.fx, &st.fx.far, "large", fake_put(st.fx.s3, &st.fx.a, "l", 5, 101 * MIB), &large);
		commit_copy_of(&st.fx, &st.fx.far, "medium", fake_put(st.fx.s3, &st.fx.a, "m", 6, 40 * MIB), &medium);
		while ((large.calls == 0 || medium.calls == 0) && st.fx.s3->now_us - start_us < INT64_C(600000000))
			sched_step(st.fx.s, 1000);
		assert_ok(&large);
		assert_ok(&medium);
		print_message("%llu MiB: beside %u small, 101 MiB took %.1f s, and no part for at most %.1f s\n",
			      (unsigned long long)limits[i] / MIB, st.done - before,
			      (double)(st.fx.s3->now_us - start_us) / 1e6, (double)p.longest_us / 1e6);
		assert_true(p.parts >= 10);
		assert_true(p.longest_us < 30000000);
		stream_close(&st);
	}
}

/* With everything taken by large objects, what is smaller waits for one of their parts at most. */
static void nothing_waits_longer_than_a_part_of_something_larger(void **state)
{
	static const uint64_t limits[] = {SCHED_MEMORY_MIN_BYTES, 64 * MIB, 256 * MIB};
	static const uint64_t sizes[] = {1000, 900000, 10000000};
	static struct outcome o[60];
	size_t i, k;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct sched_config config = {.memory_limit_bytes = limits[i]};
		struct fixture fx;
		struct fake_object *src;
		int64_t part_us = 50000 + 16 * (int64_t)MIB / 40 + 20000;
		unsigned n;
		char key[32];

		memset(o, 0, sizeof(o));
		fixture_open(&fx, &config);
		fx.s3->latency_us = 50000;
		fx.s3->bytes_per_second = 40000000;
		src = fake_put(fx.s3, &fx.a, "large", 1, GIB);
		for (n = 0; n < 50; n++) {
			snprintf(key, sizeof(key), "l%u", n);
			commit_copy_of(&fx, &fx.far, key, src, &o[n]);
		}
		run_for(&fx, 3000);
		for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			int64_t start_us = fx.s3->now_us, alone_us = 50000 + 12500 + (int64_t)sizes[k] / 40;

			snprintf(key, sizeof(key), "s%zu", k);
			commit_copy_of(&fx, &fx.far, key, fake_put(fx.s3, &fx.a, key, k, sizes[k]), &o[50 + k]);
			while (o[50 + k].calls == 0)
				sched_step(fx.s, 1000);
			assert_ok(&o[50 + k]);
			assert_true(fx.s3->now_us - start_us <= alone_us + part_us);
		}
		run(&fx);
		fixture_close(&fx);
	}
}

/* What a server sees of the order in which requests come. */
struct arrivals {
	char keys[400][8];
	unsigned count;
};

static void note_arrival(struct fake_s3 *f, struct s3_request *r, void *arg)
{
	struct arrivals *a = arg;

	if (r->op == S3_OP_PUT && a->count < 400)
		snprintf(a->keys[a->count++], sizeof(a->keys[0]), "%s", r->key);
}

/* Small and large in turn, and reads among them: with priorities the small ones pass, without them nobody does. */
static void without_priorities_first_come_is_first_served(void **state)
{
	bool off;
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct sched_config config = {.no_network_monitor = true, .memory_limit_bytes = GIB};
		static struct outcome o[400];
		static struct arrivals arrivals;
		struct fake_object *small, *large;
		struct fixture fx;
		unsigned n, passed = 0, most;
		char key[32];

		off = config.no_priority_queues = i;
		memset(o, 0, sizeof(o));
		arrivals = (struct arrivals){.count = 0};
		fixture_open(&fx, &config);
		small = fake_put(fx.s3, &fx.a, "small", 1, 1000);
		large = fake_put(fx.s3, &fx.a, "large", 2, 12 * MIB); /* one PUT */
		fx.s3->latency_us = 3; /* always the same, so that they end in the order in which they began */
		fx.s3->bytes_per_second = UINT64_C(1) << 60;
		fx.s3->before = note_arrival;
		fx.s3->before_arg = &arrivals;
		for (n = 0; n < 400; n++) {
			snprintf(key, sizeof(key), "%03u", n);
			commit_copy_of(&fx, &fx.far, key, n % 2 ? small : large, &o[n]);
		}
		run(&fx);
		most = fx.s3->in_flight_max;
		assert_int_equal(arrivals.count, 400);
		for (n = 1; n < 400; n++)
			passed += strcmp(arrivals.keys[n], arrivals.keys[n - 1]) < 0;
		if (off) {
			assert_int_equal(passed, 0);
			assert_int_equal(most, 48); /* one number of slots for all */
		} else {
			assert_true(passed > 0);
		}
		fixture_close(&fx);
	}
}

static void without_the_monitor_the_number_in_flight_is_fixed(void **state)
{
	static const int64_t latencies_us[] = {5000, 50000, 500000};
	size_t i;

	for (i = 0; i < sizeof(latencies_us) / sizeof(latencies_us[0]); i++) {
		struct sched_config config = {.memory_limit_bytes = GIB, .no_network_monitor = true};
		static struct sched_engine_stats es;
		static struct stream st;
		struct link l = {.latency_us = latencies_us[i]};

		stream_open(&st, &config);
		set_link(&st, &l);
		run_for(&st.fx, 5000);
		assert_int_equal(st.fx.s3->in_flight_max, 80);
		assert_int_equal(st.fx.s3->in_flight, 80);
		l.requests_per_second = 100; /* not even a server that refuses changes it */
		set_link(&st, &l);
		run_for(&st.fx, 1000);
		sched_engine_stats(st.fx.s, &es);
		assert_int_equal(es.paths[es.path_count - 1].limit, 0);
		assert_true(es.paths[es.path_count - 1].pace_per_s == 0);
		l.requests_per_second = 0;
		set_link(&st, &l);
		stream_close(&st);
	}
}

static void without_the_optimizer_an_object_is_one_stream(void **state)
{
	struct sched_config config = {.no_streaming_optimizer = true};
	struct fixture fx;
	struct outcome o = {0};

	fixture_open(&fx, &config);
	fake_put(fx.s3, &fx.a, "src", 1, 3 * GIB);
	commit_copy_of(&fx, &fx.far, "copy", fake_find(fx.s3, &fx.a, "src"), &o);
	run(&fx);
	assert_ok(&o);
	assert_int_equal(fx.s3->requests[S3_OP_PUT], 1);
	assert_int_equal(fx.s3->requests[S3_OP_UPLOAD_CREATE], 0);
	assert_int_equal(fx.s3->in_flight_max, 1);
	fixture_close(&fx);
}

static void all_parts_can_be_turned_off(void **state)
{
	unsigned mask;

	for (mask = 0; mask < 16; mask++) {
		struct sched_config config = {
			.memory_limit_bytes = SCHED_MEMORY_MIN_BYTES,
			.no_priority_queues = mask & 1,
			.no_dynamic_memory = mask & 2,
			.no_streaming_optimizer = mask & 4,
			.no_network_monitor = mask & 8,
		};
		static const struct copies small = {100, 100000}, large = {6, 100 * MIB};

		assert_true(copy_all(&config, &small) < 10);
		assert_true(copy_all(&config, &large) < 60);
	}
}

static void what_is_on_is_known_before_anything_runs(void **state)
{
	struct sched_config config = {.memory_limit_bytes = SCHED_MEMORY_MIN_BYTES, .no_network_monitor = true};
	static struct sched_engine_stats es;
	struct fixture fx;

	fixture_open(&fx, &config);
	sched_engine_stats(fx.s, &es);
	assert_true(es.priority_queues && es.dynamic_memory && es.streaming_optimizer && !es.network_monitor);
	assert_true(es.classes[SCHED_LOW].slots > 0);
	assert_string_equal(es.profiles[0].name, "tiny");
	fixture_close(&fx);
}

static void a_dead_server_is_not_hammered(void **state)
{
	struct fixture fx;
	static struct outcome o[500];
	struct fake_object *src;
	unsigned i;

	memset(o, 0, sizeof(o));
	fixture_open(&fx, NULL);
	src = fake_put(fx.s3, &fx.a, "src", 1, 1000);
	fake_plan_fault(fx.s3, (struct fake_fault){.op = S3_OP_PUT, .error = S3_ERR_CONNECT, .count = 1000000});
	for (i = 0; i < 500; i++) {
		char key[32];

		snprintf(key, sizeof(key), "k%u", i);
		commit_copy_of(&fx, &fx.far, key, src, &o[i]);
	}
	run_for(&fx, 10000);
	/* Each once, what the budget holds, and what comes into it. */
	assert_true(fx.s3->requests[S3_OP_PUT] <= 500 + 100 + 200 + 10 * 10 + 50);
	run(&fx);
	for (i = 0; i < 500; i++)
		assert_failed(&o[i], S3_ERR_CONNECT);
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_small_objects_get_going_at_once),
		cmocka_unit_test(the_controller_follows_the_link),
		cmocka_unit_test(a_server_that_refuses_is_used_to_its_rate),
		cmocka_unit_test(memory_is_kept_and_what_is_learned_makes_room),
		cmocka_unit_test(without_learning_a_relay_takes_two_mib),
		cmocka_unit_test(parts_make_large_objects_fast),
		cmocka_unit_test(small_ones_hardly_notice_large_ones),
		cmocka_unit_test(large_ones_go_on_while_small_ones_keep_coming),
		cmocka_unit_test(nothing_waits_longer_than_a_part_of_something_larger),
		cmocka_unit_test(without_priorities_first_come_is_first_served),
		cmocka_unit_test(without_the_monitor_the_number_in_flight_is_fixed),
		cmocka_unit_test(without_the_optimizer_an_object_is_one_stream),
		cmocka_unit_test(all_parts_can_be_turned_off),
		cmocka_unit_test(what_is_on_is_known_before_anything_runs),
		cmocka_unit_test(a_dead_server_is_not_hammered),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
