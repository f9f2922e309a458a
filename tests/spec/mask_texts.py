"""Random mask expressions, as text, for the tests of masks."""

from hypothesis import strategies as st

numbers = st.integers(0, 9).map(str)
positive = st.integers(1, 9).map(str)
leaves = st.one_of(numbers, st.sampled_from(["q", "k", "h", "q_length", "k_length", "document(q)", "document(k)"]))


def _integers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(["//", "%"]), positive).map(
            lambda parts: f"({parts[0]}) {parts[1]} {parts[2]}"
        ),
        inner.map("-{}".format),
        inner.map("({})".format),
        inner.map("abs({})".format),
        st.tuples(st.sampled_from(["min", "max", "by_head"]), inner, inner).map("{0[0]}({0[1]}, {0[2]})".format),
    )


integers = st.recursive(leaves, _integers, max_leaves=4)
amounts = st.one_of(
    positive, st.tuples(positive, positive).map("by_head({0[0]}, {0[1]})".format), positive.map("h + {}".format)
)
predicates = st.one_of(
    st.sampled_from(["full", "causal", "same(document)"]),
    st.tuples(st.sampled_from(["first", "global", "block", "dilated"]), amounts).map("{0[0]}({0[1]})".format),
    st.tuples(st.sampled_from(["before", "after", "around"]), amounts).map("window({0[0]}={0[1]})".format),
    st.tuples(amounts, amounts).map("window(before={0[0]}, after={0[1]})".format),
)
relations = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
comparisons = st.one_of(
    st.tuples(integers, relations, integers).map(" ".join),
    st.tuples(integers, relations, integers, relations, integers).map(" ".join),
)


def _truths(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from("&|"), inner).map(" ".join),
        inner.map("~{}".format),
        inner.map("({})".format),
    )


masks = st.recursive(st.one_of(predicates, comparisons), _truths, max_leaves=5)
