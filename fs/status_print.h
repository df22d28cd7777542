/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's status for people. */
#ifndef S3B_FS_STATUS_PRINT_H
#define S3B_FS_STATUS_PRINT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

void status_print(FILE *out, json_t *status);

/* One line per failure: "PATH: what happened". Returns how many failed. */
uint64_t status_print_failures(FILE *out, json_t *changes, const char *indent);

/* "3.5 MiB" */
#define SIZE_TEXT_BYTES 32
const char *status_size(uint64_t bytes, char text[SIZE_TEXT_BYTES]);

#endif
