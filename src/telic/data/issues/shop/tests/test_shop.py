from shop.cart import Cart
from shop.orders import parse_order, parse_quantity
from shop.prices import apply_discount, round_price


def test_prices():
    assert round_price(1.234) == 1.23
    assert round_price(1.236) == 1.24
    assert apply_discount(80.0, 25) == 60.0


def test_cart():
    cart = Cart()
    cart.add("tea", 4.5, 2)
    cart.add("cup", 3.0)
    assert cart.total() == 12.0
    assert cart.average_price() == 4.0


def test_orders():
    assert parse_quantity(" 12 ") == 12
    assert parse_order("tea; 3") == ("tea", 3)
