/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one place that knows which HTTP status, S3 <Code> or CURLcode belongs to which enum s3_error. Private to s3/. */
#ifndef S3B_ERROR_H
#define S3B_ERROR_H

#include "s3/s3.h"

/* S3_OK when CODE is "" or not known: then the status decides. */
enum s3_error error_from_code(const char *code);

/* S3_OK for 2xx only. */
enum s3_error error_from_status(int http_status);

/* DETAIL is libcurl's text, "" when there is none. S3_OK for CURLE_OK only. */
enum s3_error error_from_curl(int curl_code, const char *detail);

/* What someone can do about it, for the end of a sentence; NULL when there is nothing to say. */
const char *error_advice(enum s3_error e);

#endif
