/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks: reference-counted pieces of file data. */
#include "s3/base/block.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

/* 8 MiB kept at most: enough for the turnover of a running upload, little beside the memory limit. */
#define BLOCK_FREE_MAX 64

struct block {
	_Atomic unsigned refs;
	unsigned char *data; /* BLOCK_BYTES, from mmap: munmap gives it back to the kernel, a large heap keeps it */
	struct block_owner *owner;
	struct block *next; /* while on the free list */
};

static struct {
	pthread_mutex_t lock;
	struct block *head;
	unsigned count;
} free_list = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct block *block_pop(void)
{
	struct block *b;

	pthread_mutex_lock(&free_list.lock);
	b = free_list.head;
	if (b) {
		free_list.head = b->next;
		free_list.count--;
	}
	pthread_mutex_unlock(&free_list.lock);
	return b;
}

static bool block_push(struct block *b)
{
	bool kept;

	pthread_mutex_lock(&free_list.lock);
	kept = free_list.count < BLOCK_FREE_MAX;
	if (kept) {
		b->next = free_list.head;
		free_list.head = b;
		free_list.count++;
	}
	pthread_mutex_unlock(&free_list.lock);
	return kept;
}

static void block_destroy(struct block *b)
{
	munmap(b->data, BLOCK_BYTES);
	free(b);
}

static struct block *block_create(void)
{
	struct block *b = malloc(sizeof(*b));
	void *data;

	if (!b)
		return NULL;
	data = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED) {
		free(b);
		return NULL;
	}
	b->data = data;
	return b;
}

struct block *block_new(struct block_owner *owner)
{
	struct block *b = block_pop();

	if (!b)
		b = block_create();
	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	b->owner = owner;
	b->next = NULL;
	return b;
}

struct block *block_ref(struct block *b)
{
	unsigned refs = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);

	assert(refs > 0);
	(void)refs;
	return b;
}

void block_unref(struct block *b)
{
	struct block_owner *owner;
	unsigned refs;

	if (!b)
		return;
	refs = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
	assert(refs > 0);
	if (refs > 1)
		return;
	owner = b->owner;
	if (!block_push(b))
		block_destroy(b);
	/* After the memory is free, so that the owner's books never show less than what is in use. */
	if (owner)
		owner->released(owner);
}

bool block_is_shared(const struct block *b)
{
	return atomic_load_explicit(&b->refs, memory_order_acquire) > 1;
}

unsigned char *block_data(struct block *b)
{
	return b->data;
}

void block_trim(void)
{
	struct block *b, *next;

	pthread_mutex_lock(&free_list.lock);
	b = free_list.head;
	free_list.head = NULL;
	free_list.count = 0;
	pthread_mutex_unlock(&free_list.lock);
	for (; b; b = next) {
		next = b->next;
		block_destroy(b);
	}
}
