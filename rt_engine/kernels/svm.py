"""Support vector machines: kernel values of all support vectors, decisions, votes and coupled probabilities; float32.

    svm_f32, svm_classes_f32     records: `interface.svm`

`vectors` holds the support vectors in panels of 16, feature after feature: [panel, feature, 16]. `work` of svm_f32 takes
their kernel values, one number for each place in a panel. `coefficients` is [decision, places], zero where a vector has no
part in a decision, and decision d = sum over vectors of value * coefficient + rho[d].

    function 0 linear    x . v                        2 rbf       exp(-gamma |x - v|**2)
             1 poly      (gamma x . v + coef0) ** degree      3 sigmoid   tanh(gamma x . v + coef0)

A sum over features runs from the first to the last; a sum over vectors is the fold `row` of `fold`, of products.

svm_classes_f32 has a decision for every pair of classes i < j, in that order: one above zero is a vote for i, else for j; the
label is the class with the most votes, the first among equals. `platt` is [2, decisions] (A, then B): the probability of i
against j is 1 / (1 + exp(A d + B)), from 1e-7 to 1 - 1e-7, and the classes' probabilities are coupled as libsvm does it
(T.-F. Wu, C.-J. Lin, R. C. Weng, 2004, second method), in float64. How often that iterates, 100 times at most, depends on the
decisions, because where it stops is part of its result. Its `work` is float64 [classes + 3, classes].
"""

from numba import float32, float64

from rt_engine.kernels.interface.svm import SVM, SVM_CLASSES
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.elementary import exp, sigmoid, tanh
from rt_engine.kernels.parts.lanes import first_lane
from rt_engine.kernels.parts.power import pow as power
from rt_native.lang import inline, load_f32, load_f64, load_i64, store_f32, store_f64, store_i64
from rt_native.vector import BYTES, fma, load_f32x, splat_f32x, splat_f64x, store_f32x, sum_lanes

_POLY, _RBF, _SIGMOID = 1, 2, 3
_LANES = 16
_ROUNDS = 100


@inline
def _values(how, s, gamma, coef0, degree):
    """Kernel values of 16 sums."""
    if how == _RBF:
        return exp(s * -gamma)
    if how == _POLY:
        return power(fma(s, gamma, coef0), degree)
    if how == _SIGMOID:
        return tanh(fma(s, gamma, coef0))
    return s


@inline
def _products(x, panel, features):
    """Four panels' products with x."""
    step = BYTES * features
    c0 = c1 = c2 = c3 = splat_f32x(float32(0.0))
    for f in range(features):
        b = splat_f32x(load_f32(x + 4 * f))
        at = panel + BYTES * f
        c0 = fma(b, load_f32x(at), c0)
        c1 = fma(b, load_f32x(at + step), c1)
        c2 = fma(b, load_f32x(at + 2 * step), c2)
        c3 = fma(b, load_f32x(at + 3 * step), c3)
    return c0, c1, c2, c3


@inline
def _distances(x, panel, features):
    """Four panels' squared distances from x."""
    step = BYTES * features
    c0 = c1 = c2 = c3 = splat_f32x(float32(0.0))
    for f in range(features):
        b = splat_f32x(load_f32(x + 4 * f))
        at = panel + BYTES * f
        d0, d1 = b - load_f32x(at), b - load_f32x(at + step)
        d2, d3 = b - load_f32x(at + 2 * step), b - load_f32x(at + 3 * step)
        c0, c1, c2, c3 = fma(d0, d0, c0), fma(d1, d1, c1), fma(d2, d2, c2), fma(d3, d3, c3)
    return c0, c1, c2, c3


@inline
def _decision(values, coefficients, panels):
    """Sum of values times coefficients; panels come in fours."""
    c0 = c1 = c2 = c3 = splat_f32x(float32(0.0))
    for p in range(0, panels, 4):
        v, w = values + BYTES * p, coefficients + BYTES * p
        c0 = fma(load_f32x(v), load_f32x(w), c0)
        c1 = fma(load_f32x(v + BYTES), load_f32x(w + BYTES), c1)
        c2 = fma(load_f32x(v + 2 * BYTES), load_f32x(w + 2 * BYTES), c2)
        c3 = fma(load_f32x(v + 3 * BYTES), load_f32x(w + 3 * BYTES), c3)
    return sum_lanes((c0 + c2) + (c1 + c3))


@kernel("svm_f32", SVM)
def svm(record):
    """See the top of this file."""
    x, vectors, coefficients = record.x, record.vectors, record.coefficients
    rho, out, values = record.rho, record.out, record.work
    features, count, decisions, how = record.features, record.count, record.decisions, record.function
    gamma, coef0 = splat_f32x(float32(record.gamma)), splat_f32x(float32(record.coef0))
    degree = splat_f32x(float32(record.degree))
    panels = (count + 4 * _LANES - 1) // (4 * _LANES) * 4
    for _ in range(record.rows):
        for p in range(0, panels, 4):
            at, to = vectors + p * BYTES * features, values + BYTES * p
            if how == _RBF:
                c0, c1, c2, c3 = _distances(x, at, features)
            else:
                c0, c1, c2, c3 = _products(x, at, features)
            store_f32x(to, _values(how, c0, gamma, coef0, degree))
            store_f32x(to + BYTES, _values(how, c1, gamma, coef0, degree))
            store_f32x(to + 2 * BYTES, _values(how, c2, gamma, coef0, degree))
            store_f32x(to + 3 * BYTES, _values(how, c3, gamma, coef0, degree))
        for d in range(decisions):
            total = _decision(values, coefficients + d * BYTES * panels, panels)
            store_f32(out + 4 * d, total + load_f32(rho + 4 * d))
        x += 4 * features
        out += 4 * decisions
    return 0


@inline
def _vote(decisions, classes, votes):
    """The class with the most votes; `votes` has room for an integer per class."""
    for i in range(classes):
        store_i64(votes + 8 * i, 0)
    at = decisions
    for i in range(classes - 1):
        for j in range(i + 1, classes):
            winner = i if load_f32(at) > float32(0.0) else j
            store_i64(votes + 8 * winner, load_i64(votes + 8 * winner) + 1)
            at += 4
    best, most = 0, load_i64(votes)
    for i in range(1, classes):
        count = load_i64(votes + 8 * i)
        best = i if count > most else best
        most = count if count > most else most
    return best


@inline
def _pairs(decisions, platt, classes, r):
    """r[i, j]: the probability of i against j."""
    pairs = classes * (classes - 1) // 2
    at = 0
    for i in range(classes - 1):
        for j in range(i + 1, classes):
            d = float64(load_f32(decisions + 4 * at))
            a, b = float64(load_f32(platt + 4 * at)), float64(load_f32(platt + 4 * (pairs + at)))
            p = first_lane(sigmoid(splat_f64x(-(d * a + b))))
            p = p if p > 1e-7 else 1e-7
            p = p if p < 1.0 - 1e-7 else 1.0 - 1e-7
            store_f64(r + 8 * (i * classes + j), p)
            store_f64(r + 8 * (j * classes + i), 1.0 - p)
            at += 1


@inline
def _quadratic(q, diagonal, classes):
    """Turn r into Q in place: Q[i, j] = -r[j, i] r[i, j]; the diagonal, sums of squares, lies apart."""
    for i in range(classes):
        total = 0.0
        for j in range(classes):
            if j != i:
                other = load_f64(q + 8 * (j * classes + i))
                total += other * other
        store_f64(diagonal + 8 * i, total)
    for i in range(classes):
        for j in range(i + 1, classes):
            up, down = q + 8 * (i * classes + j), q + 8 * (j * classes + i)
            product = -load_f64(up) * load_f64(down)
            store_f64(up, product)
            store_f64(down, product)
        store_f64(q + 8 * (i * classes + i), load_f64(diagonal + 8 * i))


@inline
def _refresh(q, p, qp, classes):
    """qp = Q p; gives (p Q p, the largest deviation from it)."""
    total = 0.0
    for i in range(classes):
        s = 0.0
        for j in range(classes):
            s += load_f64(q + 8 * (i * classes + j)) * load_f64(p + 8 * j)
        store_f64(qp + 8 * i, s)
        total += load_f64(p + 8 * i) * s
    worst = 0.0
    for i in range(classes):
        error = abs(load_f64(qp + 8 * i) - total)
        worst = error if error > worst else worst
    return total, worst


@inline
def _improve(q, p, qp, classes, total):
    """One round over the classes."""
    for t in range(classes):
        own = load_f64(q + 8 * (t * classes + t))
        change = (total - load_f64(qp + 8 * t)) / own
        store_f64(p + 8 * t, load_f64(p + 8 * t) + change)
        scale = 1.0 / (1.0 + change)
        total = (total + change * (change * own + 2.0 * load_f64(qp + 8 * t))) * scale * scale
        for j in range(classes):
            store_f64(qp + 8 * j, (load_f64(qp + 8 * j) + change * load_f64(q + 8 * (t * classes + j))) * scale)
            store_f64(p + 8 * j, load_f64(p + 8 * j) * scale)


@kernel("svm_classes_f32", SVM_CLASSES)
def svm_classes(record):
    """See the top of this file."""
    decisions, names, platt = record.decisions, record.classes, record.platt
    label, out, work = record.label, record.probabilities, record.work
    classes, probable = record.count, record.probable
    pairs = classes * (classes - 1) // 2
    q = work + 24 * classes
    p, qp, diagonal = work, work + 8 * classes, work + 16 * classes
    enough = 0.005 / classes
    for _ in range(record.rows):
        best = _vote(decisions, classes, work)
        store_i64(label, load_i64(names + 8 * best))
        if probable:
            _pairs(decisions, platt, classes, q)
            _quadratic(q, diagonal, classes)
            for i in range(classes):
                store_f64(p + 8 * i, 1.0 / classes)
            for _ in range(_ROUNDS):
                total, worst = _refresh(q, p, qp, classes)
                if not worst >= enough:
                    break
                _improve(q, p, qp, classes, total)
            for i in range(classes):
                store_f32(out + 4 * i, float32(load_f64(p + 8 * i)))
            out += 4 * classes
        decisions += 4 * pairs
        label += 8
    return 0
