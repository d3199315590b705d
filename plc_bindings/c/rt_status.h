/**
 * @file rt_status.h
 * Status numbers: the same in Python, over ADS and Modbus, in C and in Structured Text. They never change their meaning.
 * Made by `python -m plc_bindings.c.statuses`; not to be edited.
 */
#ifndef RT_STATUS_H
#define RT_STATUS_H

/** What the functions of this interface end with. */
enum {
    RTE_OK = 0,
    RTE_INDEX_OUT_OF_RANGE = 1, /**< An index computed at run time points outside of its tensor; the output is not written. */
    RTE_UNKNOWN_KERNEL = 2, /**< A record names a kernel that the library does not have: the program was made for another version. */
    RTE_DIVISION_BY_ZERO = 3, /**< An integer was divided by zero; the quotient is 0. */
    RTE_IMPOSSIBLE_BRANCH = 4, /**< A condition chose a branch that does not fit the shapes which the model was loaded for. */
    RTE_LONGER_THAN_BOUND = 5, /**< A length that is only known at run time was larger than its bound; the output is not written. */
    RTE_HELPER_LATE = 6, /**< A helper core began a piece of a record and did not end it in time. The context rests until the helper has let go of it. */
    RTE_NO_FILE = 300, /**< The file cannot be opened, or not be read. */
    RTE_NOT_A_PROGRAM = 301, /**< The file is no compiled program (.rtp). */
    RTE_OTHER_VERSION = 302, /**< The program was compiled for another version of the format or of the kernels: compile the model again. */
    RTE_DAMAGED = 303, /**< The checksum is wrong, or a length or offset lies outside the file. */
    RTE_MISSING_KERNEL = 304, /**< The program needs a kernel that this library does not have. */
    RTE_OTHER_PROCESSOR = 305, /**< The library was built for instructions that this processor does not have. */
    RTE_NO_MEMORY = 306, /**< The system gave no memory. */
    RTE_OTHER_INTERFACE = 307, /**< The new model's inputs or outputs differ from the running one's. */
    RTE_BAD_ARGUMENT = 308, /**< A null pointer, a size of 0, a name that does not exist. */
    RTE_LATE = 309, /**< A context did not take the new model in time; all run the old one. */
};

/** Where a change is. */
enum {
    RTE_CHANGE_NONE = 0, /**< No change: the version that runs is the one that was committed. */
    RTE_CHANGE_STAGED = 1, /**< The new version is there, compiled; nothing has looked at it. */
    RTE_CHANGE_GATE = 2, /**< It is examined, outside of the tasks. */
    RTE_CHANGE_SHADOW = 3, /**< It computes beside the old one, from the same inputs; the old one is live. */
    RTE_CHANGE_TRIAL = 4, /**< It is live; the old one goes on as its shadow, and takes over in the tick in which it is found bad. */
    RTE_CHANGE_COMMITTED = 5, /**< It is live, for good. */
    RTE_CHANGE_REJECTED = 6, /**< It was never live, and is barred until it is allowed again. */
    RTE_CHANGE_ROLLED_BACK = 7, /**< It was live, or began to be; the old one is again. Barred until it is allowed again. */
};

/** Why a version was found bad, in the tick in which it was. */
enum {
    RTE_VERDICT_NONE = 0, /**< It was not found bad. */
    RTE_VERDICT_NOT_FINITE = 1, /**< NaN or infinity in one of its outputs, or in its state. */
    RTE_VERDICT_OUT_OF_LIMITS = 2, /**< An output outside of the limits of its contract. */
    RTE_VERDICT_TOO_SLOW = 3, /**< Its execution took longer than its budget. */
    RTE_VERDICT_FAILED = 4, /**< It ended with a status other than 0. */
    RTE_VERDICT_MONITOR = 5, /**< The task's monitor spoke. */
};

/** Every status, also those of tasks and of calls over a network: X(number, name). */
#define RTE_STATUSES(X) \
    X(0, "OK") \
    X(1, "INDEX_OUT_OF_RANGE") \
    X(2, "UNKNOWN_KERNEL") \
    X(3, "DIVISION_BY_ZERO") \
    X(4, "IMPOSSIBLE_BRANCH") \
    X(5, "LONGER_THAN_BOUND") \
    X(6, "HELPER_LATE") \
    X(100, "PAUSED") \
    X(101, "WATCHDOG") \
    X(102, "BAD_INPUT") \
    X(103, "NAN_INPUT") \
    X(104, "WINDOW_FILLING") \
    X(105, "STEP_FAILED") \
    X(106, "NAN_OUTPUT") \
    X(107, "OVERRUN") \
    X(108, "STOPPED") \
    X(109, "HUNG") \
    X(110, "BAD_STATE") \
    X(111, "ROLLED_BACK") \
    X(112, "MONITOR") \
    X(113, "NO_RESULT") \
    X(200, "UNKNOWN_MODEL") \
    X(201, "WRONG_SIZE") \
    X(202, "TOO_MANY") \
    X(203, "OTHER_INTERFACE") \
    X(204, "NOT_ALLOWED") \
    X(205, "BUSY") \
    X(206, "TIMEOUT") \
    X(207, "CONNECTION") \
    X(208, "NOT_CONFIGURED") \
    X(209, "BAD_SIGNATURE") \
    X(210, "INCOMPLETE") \
    X(211, "REFUSED") \
    X(212, "UNKNOWN_ATTRIBUTE") \
    X(299, "INTERNAL") \
    X(300, "NO_FILE") \
    X(301, "NOT_A_PROGRAM") \
    X(302, "OTHER_VERSION") \
    X(303, "DAMAGED") \
    X(304, "MISSING_KERNEL") \
    X(305, "OTHER_PROCESSOR") \
    X(306, "NO_MEMORY") \
    X(307, "OTHER_INTERFACE") \
    X(308, "BAD_ARGUMENT") \
    X(309, "LATE")

#endif
