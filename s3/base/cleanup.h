/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cleanup attributes (GCC and clang): a local declared with one of these is released when it goes out of scope. */
#ifndef S3B_CLEANUP_H
#define S3B_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose_ptr(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define CLEANUP_FREE   __attribute__((cleanup(cleanup_free_ptr)))
#define CLEANUP_CLOSE  __attribute__((cleanup(cleanup_close_fd)))
#define CLEANUP_FCLOSE __attribute__((cleanup(cleanup_fclose_ptr)))

#endif
