"""What every layer that gateways can be in does: the Channels specification, and our promises.

For a layer, or a relay, of your own. They are all tests of the module that imports them:

    from arcly_channels.testing.contract import *

    @pytest.fixture
    async def make_layer():
        ...  # Yields what makes a layer with the options of its CONFIG, and closes all it made.
"""

from arcly_channels.testing.contract.bounds import *
from arcly_channels.testing.contract.groups import *
from arcly_channels.testing.contract.helpers import layer as layer
from arcly_channels.testing.contract.helpers import many_switches as many_switches
from arcly_channels.testing.contract.leftovers import *
from arcly_channels.testing.contract.messages import *
from arcly_channels.testing.contract.receivers import *
from arcly_channels.testing.contract.views import *
