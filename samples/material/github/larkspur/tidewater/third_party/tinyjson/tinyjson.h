/* tinyjson - reads numbers out of JSON without an allocation. Vendored, do not change here.
 * Copyright (c) 2012 The Tinyjson Authors. BSD licence.
 */
#ifndef TINYJSON_H
#define TINYJSON_H

/* Returns the number that follows "key": in text, or fallback if there is none. */
double tinyjson_number(const char *text, const char *key, double fallback);

#endif
