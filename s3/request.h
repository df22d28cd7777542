/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What s3/ does to requests besides its public contract. Private to s3/. */
#ifndef S3B_REQUEST_H
#define S3B_REQUEST_H

#include "s3/s3.h"

/* Frees what RESULT holds and makes it the result of an attempt that has not begun. */
void s3_result_clear(struct s3_result *result);

/* Frees entries and parts only. */
void s3_result_clear_lists(struct s3_result *result);

void s3_list_entries_free(struct s3_list_entry *entries, size_t count);

#endif
