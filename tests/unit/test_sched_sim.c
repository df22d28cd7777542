/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ten thousand mixed changes and reads on the fake S3 with faults of every class, from a seed. What is checked: every
 * callback once; a success means exactly the right bytes at that moment; a failure never leaves a wrong object; nothing
 * that could not be copied is deleted; no upload is left over; memory stays in its share; everything ends. */
#include "tests/unit/sched_fixture.h"

#include "s3/base/log.h"

#define OPS 10000
#define SOURCES 300
#define DESTINATIONS 400

enum op_kind { OP_COPY, OP_WRITE, OP_APPEND, OP_DELETE, OP_DELETE_SOURCE, OP_READ, OP_STREAM, OP_KIND__COUNT };

struct sim;

struct op {
	struct sim *sim;
	enum op_kind kind;
	unsigned number;
	unsigned calls;
	unsigned ended;          /* a count of ends: 0 while it runs */
	unsigned submitted;      /* the count of ends when it was submitted */
	enum s3_error error;
	uint64_t id;
	const struct s3_bucket *bucket;
	int source;              /* which it reads or deletes, or -1 */
	int destination;         /* or -1 */
	struct fake_content expected;
	int64_t start_us;
	bool alone;              /* no other change of its destination was under way */
	uint64_t bytes, wrong;   /* READ */
	unsigned parts_out;      /* STREAM */
	struct sched_upload *upload;
	unsigned part_count;
	uint64_t part_bytes;
};

struct sim {
	struct fixture fx;
	uint64_t random;
	struct op *ops;
	struct op **turns;       /* changes in the order in which the scheduler got them */
	unsigned count, ends, turn_count;
	unsigned busy[3][DESTINATIONS];
	uint64_t source_size[SOURCES]; /* 0: deleted or about to be */
	int64_t small_latency_max_us;
	unsigned failures, successes;
	bool memory_exceeded;
};

struct sim_config {
	uint64_t seed, memory_limit_bytes;
	unsigned retryable_permille, fatal_permille, cancel_permille;
};

static uint64_t pick(struct sim *sim, uint64_t below)
{
	sim->random = sim->random * 6364136223846793005u + 1442695040888963407u;
	return (sim->random >> 33) % below;
}

static uint64_t pick_size(struct sim *sim)
{
	switch (pick(sim, 20)) {
	case 0:
		return GIB + pick(sim, 4 * GIB);
	case 1:
	case 2:
		return 100 * MIB + pick(sim, 300 * MIB);
	case 3:
	case 4:
	case 5:
		return MIB + pick(sim, 60 * MIB);
	default:
		return 1 + pick(sim, 200000);
	}
}

static const struct s3_bucket *source_bucket(struct sim *sim, int source)
{
	return source % 2 ? &sim->fx.a : &sim->fx.far;
}

static unsigned *busy_with(const struct op *o)
{
	struct fixture *fx = &o->sim->fx;

	return &o->sim->busy[o->bucket == &fx->a ? 0 : o->bucket == &fx->b ? 1 : 2][o->destination];
}

static char *source_key(int source, char buf[32])
{
	snprintf(buf, 32, "source%d", source);
	return buf;
}

static char *destination_key(int destination, char buf[32])
{
	snprintf(buf, 32, "destination%d", destination);
	return buf;
}

/* ------------------------------------------------------------------------------------------------- the ends */

/* Deleted, although an earlier copy had not read it: the one thing that must never happen. */
static void check_source_delete(const struct op *d)
{
	unsigned i;

	for (i = 0; i < d->number; i++) {
		const struct op *o = &d->sim->ops[i];

		if (o->source != d->source || (o->kind != OP_COPY && o->kind != OP_APPEND))
			continue;
		assert_int_not_equal(o->ended, 0);
		if (o->error != S3_OK)
			assert_true(o->ended <= d->submitted); /* known before somebody asked for the delete */
	}
}

static void op_ended(struct op *o, enum s3_error e)
{
	assert_int_equal(o->calls, 0);
	o->calls++;
	o->ended = ++o->sim->ends;
	o->error = e;
	if (e == S3_OK)
		o->sim->successes++;
	else
		o->sim->failures++;
	if (o->destination >= 0)
		(*busy_with(o))--;
}

static void change_done(void *arg, const struct sched_result *r)
{
	struct op *o = arg;
	struct fixture *fx = &o->sim->fx;
	struct fake_object *dst = NULL;
	char key[32];

	op_ended(o, r->error);
	if (r->error != S3_OK) {
		assert_true(r->message[0]);
		return;
	}
	if (o->kind == OP_DELETE_SOURCE) {
		assert_null(fake_find(fx->s3, o->bucket, source_key(o->source, key)));
		check_source_delete(o);
		return;
	}
	dst = fake_find(fx->s3, o->bucket, destination_key(o->destination, key));
	if (o->kind == OP_DELETE) {
		assert_null(dst);
		return;
	}
	assert_non_null(dst);
	assert_true(content_equal(&dst->content, &o->expected));
	assert_string_equal(r->etag, dst->etag);
	assert_int_equal(r->size_bytes, dst->content.size_bytes);
	if (o->alone && r->size_bytes < 1000000 && fx->s3->now_us - o->start_us > o->sim->small_latency_max_us)
		o->sim->small_latency_max_us = fx->s3->now_us - o->start_us;
}

static void read_data(void *arg, const void *data, size_t len)
{
	struct op *o = arg;
	const unsigned char *p = data;
	size_t i;

	for (i = 0; i < len; i++)
		o->wrong += p[i] != fake_pattern((uint64_t)o->source + 1, o->bytes + i);
	o->bytes += len;
}

static void read_done(void *arg, struct s3_request *r)
{
	struct op *o = arg;

	op_ended(o, r->result.error);
	assert_int_equal(o->wrong, 0);
	assert_int_equal(r->delivered_bytes, o->bytes);
	if (r->result.error == S3_OK)
		assert_int_equal(o->bytes, r->length_bytes);
	s3_request_free(r);
}

/* ------------------------------------------------------------------------------------------------ the starts */

static struct sched_extent source_extent(struct sim *sim, int source, uint64_t offset, uint64_t length)
{
	char key[32];
	struct fake_object *src = fake_find(sim->fx.s3, source_bucket(sim, source), source_key(source, key));

	assert_non_null(src);
	return copy_of(src, offset, length);
}

static void submit(struct op *o, struct sched_extent *e, size_t count, struct sched_upload *u)
{
	char key[32];
	struct sched_commit c = {
		.bucket = o->bucket,
		.key = destination_key(o->destination, key),
		.extents = extent_array(e, count),
		.extent_count = count,
		.upload = u,
		.done = change_done,
		.arg = o,
	};

	o->sim->turns[o->sim->turn_count++] = o;
	o->id = sched_commit(o->sim->fx.s, &c);
}

static void start_copy(struct op *o)
{
	uint64_t size = o->sim->source_size[o->source], offset = 0, length = size;
	struct sched_extent e;

	if (pick(o->sim, 4) == 0) { /* a piece of it */
		offset = pick(o->sim, size);
		length = 1 + pick(o->sim, size - offset);
	}
	e = source_extent(o->sim, o->source, offset, length);
	content_add_pattern(&o->expected, (uint64_t)o->source + 1, offset, length);
	submit(o, &e, 1, NULL);
}

static void start_write(struct op *o)
{
	uint64_t length = 1 + pick(o->sim, 3000);
	struct sched_extent e = data_of(o->number + 1000, length);

	content_add_pattern(&o->expected, o->number + 1000, 0, length);
	submit(o, &e, 1, NULL);
}

/* Written bytes, holes and pieces of the source in turn. */
static void start_append(struct op *o)
{
	uint64_t size = o->sim->source_size[o->source];
	struct sched_extent e[9];
	size_t count = 1 + pick(o->sim, 9), i;

	for (i = 0; i < count; i++) {
		uint64_t offset = pick(o->sim, size), length = 1 + pick(o->sim, size - offset);

		switch (i % 3) {
		case 0:
			e[i] = source_extent(o->sim, o->source, offset, length);
			content_add_pattern(&o->expected, (uint64_t)o->source + 1, offset, length);
			break;
		case 1:
			length = 1 + pick(o->sim, 2000);
			e[i] = data_of(o->number + 1000, length);
			content_add_pattern(&o->expected, o->number + 1000, 0, length);
			break;
		case 2:
			length = 1 + pick(o->sim, 9 * MIB);
			e[i] = zeros(length);
			content_add_pattern(&o->expected, 0, 0, length);
			break;
		}
	}
	submit(o, e, count, NULL);
}

static void stream_commit(struct op *o)
{
	struct sched_extent e[16];
	unsigned i;

	for (i = 0; i < o->part_count; i++)
		e[i] = part_extent(i + 1, o->part_bytes);
	e[i] = data_of(o->number + 1000, 100);
	submit(o, e, i + 1, o->upload);
}

static void stream_part_done(void *arg, const struct sched_result *r)
{
	struct op *o = arg;

	assert_true(o->parts_out > 0);
	if (r->error != S3_OK && o->error == S3_OK)
		o->error = r->error;
	if (--o->parts_out > 0)
		return;
	if (o->error == S3_OK) {
		stream_commit(o);
	} else {
		sched_upload_abort(o->sim->fx.s, o->upload);
		op_ended(o, o->error);
	}
}

static void start_stream(struct op *o)
{
	char key[32];
	const char *name = destination_key(o->destination, key);
	unsigned i;

	if (pick(o->sim, 3) == 0) /* begun under another name */
		snprintf(key, sizeof(key), ".tmp%u", o->number);
	o->upload = sched_upload_open(o->sim->fx.s, o->bucket, name, NULL);
	o->part_count = 1 + (unsigned)pick(o->sim, 15);
	o->part_bytes = 5 * MIB + pick(o->sim, 3 * MIB);
	o->parts_out = o->part_count;
	for (i = 0; i < o->part_count; i++) {
		struct sched_extent e = zeros(o->part_bytes);

		content_add_pattern(&o->expected, 0, 0, o->part_bytes);
		sched_upload_part(o->sim->fx.s, o->upload, i + 1, extent_array(&e, 1), 1, stream_part_done, o);
	}
	content_add_pattern(&o->expected, o->number + 1000, 0, 100);
}

static void start_read(struct op *o)
{
	char key[32];
	struct s3_request *r = s3_request_new(S3_OP_GET, source_bucket(o->sim, o->source), source_key(o->source, key));
	uint64_t size = o->sim->source_size[o->source];

	o->bytes = 0;
	r->length_bytes = size < 60000 ? size : 60000;
	r->on_data = read_data;
	r->on_data_arg = o;
	o->id = sched_request(o->sim->fx.s, r, SCHED_INTERACTIVE, read_done, o);
}

static void start(struct sim *sim)
{
	static const unsigned weight[OP_KIND__COUNT] = {40, 15, 10, 10, 1, 15, 4};
	struct op *o = &sim->ops[sim->count];
	uint64_t dice = pick(sim, 95);
	char key[32];

	*o = (struct op){.sim = sim, .number = sim->count++, .submitted = sim->ends, .start_us = sim->fx.s3->now_us};
	while (dice >= weight[o->kind])
		dice -= weight[o->kind++];
	o->source = (int)pick(sim, SOURCES);
	if (sim->source_size[o->source] == 0 && o->kind != OP_DELETE)
		o->kind = OP_WRITE;
	o->destination = (int)pick(sim, DESTINATIONS);
	o->bucket = pick(sim, 3) == 0 ? &sim->fx.a : pick(sim, 2) ? &sim->fx.b : &sim->fx.far;
	if (o->kind == OP_DELETE_SOURCE || o->kind == OP_READ)
		o->destination = -1;
	else
		o->alone = (*busy_with(o))++ == 0;
	switch (o->kind) {
	case OP_COPY:
		start_copy(o);
		break;
	case OP_APPEND:
		start_append(o);
		break;
	case OP_DELETE:
		sim->turns[sim->turn_count++] = o;
		o->id = sched_delete(sim->fx.s, o->bucket, destination_key(o->destination, key), change_done, o);
		break;
	case OP_DELETE_SOURCE:
		o->bucket = source_bucket(sim, o->source);
		sim->source_size[o->source] = 0;
		o->id = sched_delete(sim->fx.s, o->bucket, source_key(o->source, key), change_done, o);
		break;
	case OP_READ:
		start_read(o);
		break;
	case OP_STREAM:
		start_stream(o);
		break;
	default:
		start_write(o);
		break;
	}
}

/* --------------------------------------------------------------------------------------------------- the run */

/* Each destination is what its last success made it; or, where the answer to a change was lost, what a later change made
 * it that was reported as failed. */
static void check_destinations(struct sim *sim)
{
	struct s3_bucket *buckets[] = {&sim->fx.a, &sim->fx.b, &sim->fx.far};
	unsigned b;
	int d;

	for (b = 0; b < 3; b++) {
		for (d = 0; d < DESTINATIONS; d++) {
			char key[32];
			struct fake_object *dst = fake_find(sim->fx.s3, buckets[b], destination_key(d, key));
			bool right = false, success = false;
			unsigned i;

			for (i = sim->turn_count; i > 0 && !success && !right; i--) {
				struct op *o = sim->turns[i - 1];

				if (o->bucket != buckets[b] || o->destination != d)
					continue;
				success = o->error == S3_OK;
				if (success || o->kind == OP_DELETE || (dst && dst->unclear))
					right = o->kind == OP_DELETE ? !dst : dst && content_equal(&dst->content, &o->expected);
			}
			assert_true(right || (!success && !dst));
		}
	}
}

static void check_memory(struct sim *sim)
{
	struct sched_memory *m = sched_memory_of(sim->fx.s);
	struct sched_memory_stats st;

	sched_memory_stats(m, &st);
	if (st.peak_bytes > sched_memory_share(m, SCHED_MEMORY_RELAY))
		sim->memory_exceeded = true;
}

static void simulate(struct sim *sim, const struct sim_config *c)
{
	struct sched_config config = {.memory_limit_bytes = c->memory_limit_bytes, .seed = c->seed};
	unsigned i;

	*sim = (struct sim){.random = c->seed, .ops = calloc(OPS, sizeof(struct op))};
	sim->turns = calloc(OPS, sizeof(*sim->turns));
	assert_true(sim->ops && sim->turns);
	fixture_open(&sim->fx, &config);
	sim->fx.b.copy_error = c->seed % 2 ? S3_OK : S3_ERR_ACCESS;
	for (i = 0; i < SOURCES; i++) {
		char key[32];

		sim->source_size[i] = pick_size(sim);
		fake_put(sim->fx.s3, source_bucket(sim, (int)i), source_key((int)i, key), i + 1, sim->source_size[i]);
	}
	sim->fx.s3->retryable_permille = c->retryable_permille;
	sim->fx.s3->fatal_permille = c->fatal_permille;
	while (sim->count < OPS) {
		for (i = 0; i < 5 && sim->count < OPS; i++)
			start(sim);
		if (pick(sim, 1000) < c->cancel_permille)
			sched_cancel(sim->fx.s, sim->ops[pick(sim, sim->count)].id);
		run_for(&sim->fx, 50);
		check_memory(sim);
	}
	run(&sim->fx);
	check_memory(sim);
}

static void check_and_close(struct sim *sim)
{
	unsigned i;

	for (i = 0; i < OPS; i++)
		assert_int_equal(sim->ops[i].calls, 1);
	check_destinations(sim);
	assert_false(sim->memory_exceeded);
	assert_int_equal(fake_upload_count(sim->fx.s3, false), 0);
	assert_int_equal(stats_of(&sim->fx).jobs_active, 0);
	assert_int_equal(stats_of(&sim->fx).jobs_waiting, 0);
	for (i = 0; i < OPS; i++)
		content_clear(&sim->ops[i].expected);
	fixture_close(&sim->fx);
	free(sim->turns);
	free(sim->ops);
}

static struct sim the_sim; /* large */

static void without_faults_everything_succeeds_and_small_is_quick(void **state)
{
	static const uint64_t limits[] = {SCHED_MEMORY_MIN_BYTES, 256 * MIB};
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct sim_config c = {.seed = 11 + i, .memory_limit_bytes = limits[i]};

		simulate(&the_sim, &c);
		assert_int_equal(the_sim.failures, 0);
		assert_in_range(the_sim.small_latency_max_us, 1, 1000000);
		check_and_close(&the_sim);
	}
}

static void with_faults_nothing_is_ever_wrong(void **state)
{
	static const struct sim_config configs[] = {
		{.seed = 1, .memory_limit_bytes = SCHED_MEMORY_MIN_BYTES, .retryable_permille = 50, .fatal_permille = 8},
		{.seed = 2, .memory_limit_bytes = SCHED_MEMORY_MIN_BYTES, .retryable_permille = 200, .fatal_permille = 10,
		 .cancel_permille = 300},
		{.seed = 3, .memory_limit_bytes = 256 * MIB, .retryable_permille = 100, .fatal_permille = 100,
		 .cancel_permille = 100},
		{.seed = 4, .memory_limit_bytes = 64 * MIB, .retryable_permille = 20, .cancel_permille = 1000},
	};
	unsigned i, e;

	for (i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		simulate(&the_sim, &configs[i]);
		print_message("seed %llu: %u succeeded, %u failed, %llu retries, %lld s\n", (unsigned long long)configs[i].seed,
			      the_sim.successes, the_sim.failures, (unsigned long long)stats_of(&the_sim.fx).retries,
			      (long long)the_sim.fx.s3->now_us / 1000000);
		assert_true(the_sim.successes > OPS / 10 && the_sim.failures > 0);
		for (e = S3_ERR_NOT_FOUND; e < S3_ERR__COUNT; e++)
			if (configs[i].fatal_permille || s3_error_is_retryable(e))
				assert_true(the_sim.fx.s3->injected[e] > 0);
		check_and_close(&the_sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_faults_everything_succeeds_and_small_is_quick),
		cmocka_unit_test(with_faults_nothing_is_ever_wrong),
	};

	log_set_level(LOG_LEVEL_ERROR); /* leftovers are expected */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
