/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Streams over a stand-in for the scheduler: GETs are answered by the test, step by step, or by threads at random. */
#include "fs/stream.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <utlist.h>

#include "s3/base/log.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define PIECE ((size_t)16 * 1024)

/* --------------------------------------------------------------------------------------- the stand-in */

struct flight {
	struct s3_request *req;
	uint64_t id;
	sched_request_fn done;
	void *arg;
	bool cancelled, taken;
	struct flight *prev, *next;
};

struct sched {
	struct sched_memory *memory;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct flight *flights;
	uint64_t last_id;
	unsigned sent, cancels;
	uint64_t asked_bytes;
	bool stop;
};

struct sched_memory *sched_memory_of(struct sched *s)
{
	return s->memory;
}

uint64_t sched_request(struct sched *s, struct s3_request *req, enum sched_class class, sched_request_fn done,
		       void *arg)
{
	struct flight *f = calloc(1, sizeof(*f));
	uint64_t id;

	assert_int_equal(req->op, S3_OP_GET);
	assert_int_equal(class, SCHED_INTERACTIVE);
	assert_string_equal(req->if_match, "\"etag\"");
	assert_true(req->length_bytes > 0);
	f->req = req;
	f->done = done;
	f->arg = arg;
	pthread_mutex_lock(&s->lock);
	id = f->id = ++s->last_id;
	s->sent++;
	s->asked_bytes += req->length_bytes;
	DL_APPEND(s->flights, f);
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
	return id;
}

void sched_cancel(struct sched *s, uint64_t id)
{
	struct flight *f;

	pthread_mutex_lock(&s->lock);
	DL_SEARCH_SCALAR(s->flights, f, id, id);
	if (f) {
		f->cancelled = true;
		s->cancels++;
	}
	pthread_mutex_unlock(&s->lock);
}

static unsigned char object_byte(uint64_t offset)
{
	return (unsigned char)(offset ^ offset >> 9 ^ offset >> 17);
}

static void deliver(struct s3_request *req, uint64_t bytes)
{
	unsigned char piece[PIECE];

	while (bytes) {
		size_t n = bytes < PIECE ? (size_t)bytes : PIECE, i;

		for (i = 0; i < n; i++)
			piece[i] = object_byte(req->offset_bytes + req->delivered_bytes + i);
		req->on_data(req->on_data_arg, piece, n);
		req->delivered_bytes += n;
		bytes -= n;
	}
}

static void finish(struct sched *s, struct flight *f, enum s3_error error)
{
	f->req->result.error = error;
	if (error)
		snprintf(f->req->result.message, sizeof(f->req->result.message), "the test says so");
	pthread_mutex_lock(&s->lock);
	DL_DELETE(s->flights, f);
	pthread_mutex_unlock(&s->lock);
	f->done(f->arg, f->req);
	free(f);
}

static void run_one(struct sched *s, struct flight *f)
{
	if (!f->cancelled)
		deliver(f->req, f->req->length_bytes - f->req->delivered_bytes);
	finish(s, f, f->cancelled ? S3_ERR_CANCELLED : S3_OK);
}

static void run_all(struct sched *s)
{
	while (s->flights)
		run_one(s, s->flights);
}

/* The network does one thing; a GET need not end when its last byte has come. */
static void progress(struct sched *s, bool end)
{
	struct flight *f;

	DL_FOREACH(s->flights, f) {
		if (f->cancelled || (end && f->req->delivered_bytes == f->req->length_bytes)) {
			finish(s, f, f->cancelled ? S3_ERR_CANCELLED : S3_OK);
			return;
		}
		if (f->req->delivered_bytes < f->req->length_bytes) {
			deliver(f->req, f->req->length_bytes - f->req->delivered_bytes);
			return;
		}
	}
	fail_msg("a read waits for ever");
}

static unsigned in_flight(const struct sched *s)
{
	const struct flight *f;
	unsigned n = 0;

	DL_FOREACH(s->flights, f)
		n += !f->cancelled;
	return n;
}

static uint64_t read_memory(const struct sched *s)
{
	struct sched_memory_stats stats;

	sched_memory_stats(s->memory, &stats);
	return stats.used_bytes[SCHED_MEMORY_READ];
}

/* -------------------------------------------------------------------------------------------- fixtures */

static struct s3_bucket *bucket;

static struct sched *fake_new(uint64_t memory_limit)
{
	struct sched *s = calloc(1, sizeof(*s));

	s->memory = sched_memory_new(memory_limit);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	return s;
}

/* Everything must have come back. */
static void fake_free(struct sched *s)
{
	run_all(s);
	assert_int_equal(read_memory(s), 0);
	sched_memory_free(s->memory);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->more);
	free(s);
}

static struct stream *open_stream(struct sched *s, uint64_t size, uint64_t readahead)
{
	struct sched_source *src = sched_source_new(bucket, "key", "\"etag\"", size);
	struct stream *st = stream_new(s, src, &(struct stream_config){.readahead_max_bytes = readahead});

	sched_source_unref(src);
	assert_non_null(st);
	return st;
}

struct answer {
	uint64_t offset, id;
	size_t want, got;
	int err;
	atomic_int calls;
};

static void on_answer(void *arg, int err, const struct iovec *iov, int count)
{
	struct answer *a = arg;
	uint64_t pos = a->offset;
	int i;
	size_t k;

	a->err = err;
	a->got = 0;
	for (i = 0; i < count; i++) {
		const unsigned char *p = iov[i].iov_base;

		for (k = 0; k < iov[i].iov_len; k++, pos++)
			if (p[k] != object_byte(pos))
				fail_msg("wrong byte at %llu", (unsigned long long)pos);
		a->got += iov[i].iov_len;
	}
	if (err)
		assert_int_equal(count, 0);
	atomic_fetch_add(&a->calls, 1);
}

static void ask(struct stream *st, struct answer *a, uint64_t offset, size_t length)
{
	*a = (struct answer){.offset = offset, .want = length};
	stream_read(st, offset, length, on_answer, a, &a->id);
}

static void assert_answered(const struct answer *a)
{
	assert_int_equal(a->calls, 1);
	assert_int_equal(a->err, 0);
	assert_int_equal(a->got, a->want);
}

static void read_now(struct sched *s, struct stream *st, uint64_t offset, size_t length)
{
	struct answer a;

	ask(st, &a, offset, length);
	run_all(s);
	assert_answered(&a);
}

/* ----------------------------------------------------------------------------------------------- tests */

static void a_small_object_is_one_get(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 700 * KIB + 3, 16 * MIB);
	uint64_t pos;

	for (pos = 0; pos < 640 * KIB; pos += 128 * KIB)
		read_now(s, st, pos, 128 * KIB);
	read_now(s, st, pos, 60 * KIB + 3);
	assert_int_equal(s->sent, 1);
	assert_int_equal(read_memory(s), 0); /* what was read is dropped at once */
	stream_close(st);
	fake_free(s);
}

static void sequential_reading_fetches_each_byte_once_and_ahead(void **state)
{
	struct sched *s = fake_new(512 * MIB);
	struct stream *st = open_stream(s, 64 * MIB + 77, 16 * MIB);
	unsigned most = 0;
	uint64_t pos;

	for (pos = 0; pos < 64 * MIB; pos += 128 * KIB) {
		struct answer a;

		ask(st, &a, pos, 128 * KIB);
		most = in_flight(s) > most ? in_flight(s) : most;
		while (!a.calls)
			run_one(s, s->flights); /* the network is just fast enough */
		assert_answered(&a);
	}
	read_now(s, st, pos, 77);
	assert_int_equal(s->asked_bytes, 64 * MIB + 77);
	assert_in_range(most, 12, 17);
	stream_close(st);
	fake_free(s);
}

static void a_read_that_waits_is_answered_as_soon_as_its_bytes_are_there(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 64 * MIB, 16 * MIB);
	struct answer a[3];
	int i;

	for (i = 0; i < 3; i++)
		ask(st, &a[i], (uint64_t)i * 128 * KIB, 128 * KIB);
	assert_int_equal(a[0].calls, 0);
	assert_int_not_equal(a[0].id, 0);
	deliver(s->flights->req, 128 * KIB - 1);
	assert_int_equal(a[0].calls, 0);
	deliver(s->flights->req, 1);
	assert_answered(&a[0]);
	deliver(s->flights->req, 256 * KIB);
	assert_answered(&a[1]);
	assert_answered(&a[2]);
	/* and a later one at once, on the calling thread */
	deliver(s->flights->req, 128 * KIB);
	ask(st, &a[0], 384 * KIB, 128 * KIB);
	assert_answered(&a[0]);
	assert_int_equal(a[0].id, 0);
	run_all(s);
	stream_close(st);
	fake_free(s);
}

static void reads_that_overtake_each_other_fetch_nothing_twice(void **state)
{
	struct sched *s = fake_new(512 * MIB);
	struct stream *st = open_stream(s, 32 * MIB, 8 * MIB);
	static const unsigned order[] = {0, 3, 1, 2, 7, 5, 6, 4, 9, 8, 15, 11, 12, 14, 13, 10};
	uint64_t base;
	unsigned i;

	for (base = 0; base < 32 * MIB; base += 2 * MIB) {
		struct answer a[16];

		for (i = 0; i < 16; i++)
			ask(st, &a[i], base + order[i] * 128 * KIB, 128 * KIB);
		run_all(s);
		for (i = 0; i < 16; i++)
			assert_answered(&a[i]);
	}
	assert_int_equal(s->asked_bytes, 32 * MIB);
	assert_int_equal(read_memory(s), 0);
	stream_close(st);
	fake_free(s);
}

static void random_reads_fetch_what_was_asked(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 1024 * MIB, 16 * MIB);
	uint64_t i;

	for (i = 1; i < 50; i++)
		read_now(s, st, (i * 397 % 1000) * MIB + 8 * MIB, 4096);
	assert_int_equal(s->asked_bytes, 49 * 4096);
	assert_int_equal(read_memory(s), 0);
	stream_close(st);
	fake_free(s);
}

static void reading_on_after_a_jump_becomes_sequential(void **state)
{
	struct sched *s = fake_new(512 * MIB);
	struct stream *st = open_stream(s, 1024 * MIB, 16 * MIB);
	uint64_t pos;

	read_now(s, st, 0, 128 * KIB);
	for (pos = 500 * MIB; pos < 540 * MIB; pos += 128 * KIB)
		read_now(s, st, pos, 128 * KIB);
	assert_in_range(s->asked_bytes, 56 * MIB, 60 * MIB);
	assert_in_range(s->sent, 40, 70);
	/* and backwards: the old run does not count any more */
	s->asked_bytes = 0;
	read_now(s, st, 100 * MIB, 128 * KIB);
	read_now(s, st, 100 * MIB + 128 * KIB, 128 * KIB);
	assert_in_range(s->asked_bytes, 256 * KIB, 2 * MIB);
	stream_close(st);
	fake_free(s);
}

static void what_was_read_ahead_in_vain_is_given_back(void **state)
{
	struct sched *s = fake_new(512 * MIB);
	struct stream *st = open_stream(s, 1024 * MIB, 16 * MIB);
	struct answer a;
	uint64_t i;

	read_now(s, st, 0, 128 * KIB);
	ask(st, &a, 128 * KIB, 128 * KIB);
	assert_true(read_memory(s) >= 1 * MIB);
	for (i = 1; i < 8; i++)
		read_now(s, st, i * 100 * MIB, 4096);
	assert_int_equal(read_memory(s), 0);
	stream_close(st);
	fake_free(s);
}

static void a_read_across_many_small_gets_is_answered(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 100 * MIB, 0);
	struct answer small[40], all;
	unsigned i;

	for (i = 0; i < 40; i++)
		ask(st, &small[i], 50 * MIB + i * 512, 512);
	ask(st, &all, 50 * MIB - 100, 40 * 512 + 200);
	run_all(s);
	for (i = 0; i < 40; i++)
		assert_answered(&small[i]);
	assert_answered(&all);
	stream_close(st);
	fake_free(s);
}

static void the_end_of_the_object_clips(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 1000, 16 * MIB);
	struct answer a;

	ask(st, &a, 900, 4096);
	run_all(s);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.got, 100);
	ask(st, &a, 1000, 4096);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.got, 0);
	stream_close(st);
	fake_free(s);
}

static void a_failed_get_fails_its_readers_and_the_next_read_asks_again(void **state)
{
	static const struct {
		enum s3_error error;
		uint64_t before;
		int err;
	} cases[] = {
		{S3_ERR_PRECONDITION, 0, EIO},
		{S3_ERR_NOT_FOUND, 0, EIO},
		{S3_ERR_NETWORK, 100, EIO},
		{S3_OK, 5000, EIO}, /* fewer bytes than asked for, and no error */
		{S3_ERR_CANCELLED, 0, EIO},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sched *s = fake_new(64 * MIB);
		struct stream *st = open_stream(s, 500 * KIB, 16 * MIB);
		int expected = cases[i].error == S3_ERR_NETWORK ? s3_error_errno(S3_ERR_NETWORK) : cases[i].err;
		struct answer a;

		ask(st, &a, 0, 128 * KIB);
		deliver(s->flights->req, cases[i].before);
		finish(s, s->flights, cases[i].error);
		assert_int_equal(a.calls, 1);
		assert_int_equal(a.err, expected ? expected : EIO);
		assert_int_equal(read_memory(s), 0);
		read_now(s, st, 0, 128 * KIB);
		stream_close(st);
		fake_free(s);
	}
}

static void more_bytes_than_asked_for_do_no_harm(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 1000, 16 * MIB);
	struct answer a;

	ask(st, &a, 0, 1000);
	deliver(s->flights->req, 999);
	deliver(s->flights->req, 200 * KIB);
	assert_answered(&a);
	finish(s, s->flights, S3_OK);
	stream_close(st);
	fake_free(s);
}

static void an_interrupted_read_is_answered_eintr_once(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 100 * MIB, 16 * MIB);
	struct answer a;

	ask(st, &a, 50 * MIB, 4096);
	stream_interrupt(st, a.id + 1);
	assert_int_equal(a.calls, 0);
	stream_interrupt(st, a.id);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, EINTR);
	stream_interrupt(st, a.id);
	run_all(s);
	assert_int_equal(a.calls, 1);
	assert_int_equal(read_memory(s), 0);
	stream_close(st);
	fake_free(s);
}

static void closing_cancels_what_is_in_flight(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 100 * MIB, 16 * MIB);
	struct answer a;

	ask(st, &a, 0, 4096);
	deliver(s->flights->req, 4096);
	assert_answered(&a);
	assert_int_equal(in_flight(s), 2);
	stream_close(st);
	assert_int_equal(in_flight(s), 0);
	assert_int_equal(s->cancels, 2);
	deliver(s->flights->req, 300 * KIB); /* until the cancel is seen */
	fake_free(s);
}

static void idle_streams_give_way_to_one_that_reads(void **state)
{
	struct sched *s = fake_new(32 * MIB); /* 4 MiB for reading */
	struct stream *st[40];
	struct answer a;
	unsigned i;

	for (i = 0; i < 40; i++) {
		st[i] = open_stream(s, 100 * MIB, 16 * MIB);
		/* half of them leave their readahead complete, half in flight */
		ask(st[i], &a, 0, 4096);
		while (!a.calls)
			progress(s, i % 2);
		assert_answered(&a);
		assert_true(read_memory(s) <= 4 * MIB);
	}
	/* an active one goes on well among them */
	for (i = 1; i < 100; i++)
		read_now(s, st[0], i * 4096, 4096);
	for (i = 0; i < 40; i++)
		stream_close(st[i]);
	fake_free(s);
}

static void many_waiting_reads_are_served_within_the_limit(void **state)
{
	struct sched *s = fake_new(32 * MIB);
	struct stream *st = open_stream(s, 100 * MIB, 16 * MIB);
	static struct answer a[16];
	unsigned i;

	for (i = 0; i < 16; i++)
		ask(st, &a[i], i * MIB + 5, MIB); /* 16 MiB wanted at once, 4 MiB there */
	assert_true(read_memory(s) <= 4 * MIB);
	run_all(s);
	for (i = 0; i < 16; i++)
		assert_answered(&a[i]);
	stream_close(st);
	fake_free(s);
}

static void reads_that_wait_for_memory_wait_for_whole_chunks_together(void **state)
{
	struct sched *s = fake_new(64 * MIB);
	struct stream *st = open_stream(s, 100 * MIB, 16 * MIB);
	static struct answer a[128];
	unsigned i;

	for (i = 0; i < 128; i++)
		ask(st, &a[i], i * 128 * KIB, 128 * KIB); /* as the kernel does with 16 MiB of readahead */
	run_all(s);
	for (i = 0; i < 128; i++)
		assert_answered(&a[i]);
	assert_in_range(s->sent, 16, 17);
	stream_close(st);
	fake_free(s);
}

static void readers_that_take_turns_do_not_throw_away_each_others_bytes(void **state)
{
	enum { READERS = 16 };
	struct sched *s = fake_new(32 * MIB); /* a quarter of a MiB each */
	struct stream *st[READERS];
	struct answer a;
	uint64_t pos;
	unsigned i;

	for (i = 0; i < READERS; i++)
		st[i] = open_stream(s, 8 * MIB, 16 * MIB);
	for (pos = 0; pos < 8 * MIB; pos += 128 * KIB) {
		for (i = 0; i < READERS; i++) {
			ask(st[i], &a, pos, 128 * KIB);
			while (!a.calls)
				progress(s, true);
			assert_answered(&a);
		}
	}
	for (i = 0; i < READERS; i++)
		stream_close(st[i]);
	assert_true(s->asked_bytes < READERS * 8 * MIB * 2);
	fake_free(s);
}

static void an_interrupt_while_waiting_for_memory_leaves_nothing_behind(void **state)
{
	struct sched *s = fake_new(32 * MIB);
	struct stream *st = open_stream(s, 100 * MIB, 0);
	static struct answer a[6];
	unsigned i;

	for (i = 0; i < 6; i++)
		ask(st, &a[i], i * 10 * MIB, MIB);
	assert_int_equal(in_flight(s), 4);
	stream_interrupt(st, a[4].id);
	assert_int_equal(a[4].err, EINTR);
	run_one(s, s->flights);
	run_one(s, s->flights);
	run_all(s);
	assert_answered(&a[5]);
	assert_int_equal(s->sent, 5);

	for (i = 0; i < 6; i++)
		ask(st, &a[i], i * 10 * MIB, MIB);
	for (i = 0; i < 6; i++)
		stream_interrupt(st, a[i].id);
	stream_close(st); /* with two still in the queue for memory */
	fake_free(s);
}

/* --------------------------------------------------------------------------------------------- at random */

static _Thread_local uint64_t rng_state;

static uint64_t rng(uint64_t below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state % below;
}

static _Atomic uint64_t thread_seed;

static void rng_seed(void)
{
	rng_state = (atomic_fetch_add(&thread_seed, 1) + 1) * 0x9e3779b97f4a7c15u;
}

/* A transfer thread that is the scheduler as well. */
static void *network(void *arg)
{
	struct sched *s = arg;
	struct flight *f;

	rng_seed();
	for (;;) {
		uint64_t left;
		bool cancelled = false;

		pthread_mutex_lock(&s->lock);
		for (;;) {
			DL_SEARCH_SCALAR(s->flights, f, taken, false);
			if (f || s->stop)
				break;
			pthread_cond_wait(&s->more, &s->lock);
		}
		if (f)
			f->taken = true;
		pthread_mutex_unlock(&s->lock);
		if (!f)
			return NULL;
		left = f->req->length_bytes;
		if (!rng(200))
			left = rng(left);
		while (left && !cancelled) {
			uint64_t n = 1 + rng(64 * KIB);

			n = n < left ? n : left;
			deliver(f->req, n);
			left -= n;
			pthread_mutex_lock(&s->lock);
			cancelled = f->cancelled;
			pthread_mutex_unlock(&s->lock);
			if (!rng(50))
				usleep(100);
		}
		finish(s, f, cancelled ? S3_ERR_CANCELLED : S3_OK);
	}
}

struct reader {
	struct stream *st; /* shared by some readers */
	uint64_t size;
	unsigned reads, failed;
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	struct answer a[4];
	uint64_t pos = 0;
	unsigned i, k;

	rng_seed();
	for (i = 0; i < r->reads; i++) {
		unsigned n = 1 + (unsigned)rng(4);

		if (!rng(20))
			pos = rng(r->size);
		for (k = 0; k < n; k++) {
			size_t length = rng(3) ? 128 * KIB : 1 + rng(MIB);

			if (pos >= r->size)
				pos = 0;
			ask(r->st, &a[k], pos, length);
			pos += length;
			if (!rng(60))
				stream_interrupt(r->st, a[k].id);
		}
		for (k = 0; k < n; k++) {
			while (!a[k].calls)
				usleep(50);
			assert_int_equal(a[k].calls, 1);
			if (a[k].err) {
				r->failed++;
				assert_true(a[k].err == EIO || a[k].err == EINTR);
			} else {
				uint64_t want = r->size - a[k].offset < a[k].want ? r->size - a[k].offset : a[k].want;

				assert_int_equal(a[k].got, want);
			}
		}
		if (!rng(30))
			usleep((useconds_t)rng(3000));
	}
	return NULL;
}

static void many_threads_at_random_all_get_the_right_bytes(void **state)
{
	enum { STREAMS = 8, READERS = 16, NETWORKS = 3 };
	struct sched *s = fake_new(32 * MIB);
	pthread_t networks[NETWORKS], readers[READERS];
	struct reader r[READERS];
	struct stream *st[STREAMS];
	struct sched_memory_stats stats;
	const char *seed = getenv("TEST_SEED");
	unsigned i, failed = 0;

	thread_seed = seed ? strtoull(seed, NULL, 0) * 1000 : 0;
	for (i = 0; i < NETWORKS; i++)
		pthread_create(&networks[i], NULL, network, s);
	for (i = 0; i < STREAMS; i++)
		st[i] = open_stream(s, (1 + i) * 3 * MIB + 12345, 16 * MIB);
	for (i = 0; i < READERS; i++) {
		r[i] = (struct reader){
			.st = st[i % STREAMS],
			.size = (1 + i % STREAMS) * 3 * MIB + 12345,
			.reads = 60,
		};
		pthread_create(&readers[i], NULL, reader_run, &r[i]);
	}
	for (i = 0; i < READERS; i++) {
		pthread_join(readers[i], NULL);
		failed += r[i].failed;
	}
	for (i = 0; i < STREAMS; i++)
		stream_close(st[i]);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->more);
	pthread_mutex_unlock(&s->lock);
	for (i = 0; i < NETWORKS; i++)
		pthread_join(networks[i], NULL);
	assert_true(failed < READERS * 60);
	sched_memory_stats(s->memory, &stats);
	assert_true(stats.peak_bytes <= 4 * MIB);
	assert_true(stats.waits > 0);
	fake_free(s);
}

static int setup(void **state)
{
	static const struct s3_bucket_config config = {
		.name = "b", .bucket = "b", .endpoint = "http://127.0.0.1:1", .path_style = 1};
	char err[256];

	log_set_level(LOG_LEVEL_ERROR);
	log_set_fd(-1); /* errors are expected here */
	bucket = s3_bucket_new(&config, err, sizeof(err));
	return bucket ? 0 : -1;
}

static int teardown(void **state)
{
	s3_bucket_free(bucket);
	block_trim();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_object_is_one_get),
		cmocka_unit_test(sequential_reading_fetches_each_byte_once_and_ahead),
		cmocka_unit_test(a_read_that_waits_is_answered_as_soon_as_its_bytes_are_there),
		cmocka_unit_test(reads_that_overtake_each_other_fetch_nothing_twice),
		cmocka_unit_test(random_reads_fetch_what_was_asked),
		cmocka_unit_test(reading_on_after_a_jump_becomes_sequential),
		cmocka_unit_test(what_was_read_ahead_in_vain_is_given_back),
		cmocka_unit_test(a_read_across_many_small_gets_is_answered),
		cmocka_unit_test(the_end_of_the_object_clips),
		cmocka_unit_test(a_failed_get_fails_its_readers_and_the_next_read_asks_again),
		cmocka_unit_test(more_bytes_than_asked_for_do_no_harm),
		cmocka_unit_test(an_interrupted_read_is_answered_eintr_once),
		cmocka_unit_test(closing_cancels_what_is_in_flight),
		cmocka_unit_test(idle_streams_give_way_to_one_that_reads),
		cmocka_unit_test(many_waiting_reads_are_served_within_the_limit),
		cmocka_unit_test(reads_that_wait_for_memory_wait_for_whole_chunks_together),
		cmocka_unit_test(readers_that_take_turns_do_not_throw_away_each_others_bytes),
		cmocka_unit_test(an_interrupt_while_waiting_for_memory_leaves_nothing_behind),
		cmocka_unit_test(many_threads_at_random_all_get_the_right_bytes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
