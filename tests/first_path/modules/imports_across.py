from modules import returns_state

create = returns_state.create
