/* cmocka and the words that the tests of sim/ share. */
#ifndef SPAREKEY_TESTS_SIM_TEST_H
#define SPAREKEY_TESTS_SIM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ARRAY(a) ((int)(sizeof(a) / sizeof *(a)))

#endif
